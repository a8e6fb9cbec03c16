// Gives what is pasted anywhere on the page to the uploader, as if it had been chosen there.
export default function () {
  const paste = (event) => {
    const uploader = document.querySelector(".st-key-uploader input[type=file]");
    if (!uploader || !event.clipboardData?.files.length) return;
    uploader.files = event.clipboardData.files;
    uploader.dispatchEvent(new Event("change", { bubbles: true }));
  };
  document.addEventListener("paste", paste);
  return () => document.removeEventListener("paste", paste);
}
