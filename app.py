"""The page, for `streamlit run app.py`; `digitreader page` opens the same."""

from digitreader.doors.page.app import main

main()
