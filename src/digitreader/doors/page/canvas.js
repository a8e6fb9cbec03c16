// A sheet to draw on. Strokes are plain data: the pen's width, whether it erases, and points.
// While one grows they are sent as fast as the server answers, and no faster: the next state
// goes out when the last one came back read.

const SHARP = 2; // canvas pixels to one of the drawing's
const NEAR = 2; // px; closer points say nothing new
const STEP = 8; // px that an arrow key moves the pen
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const COLOURS = {
  ok: "--st-primary-color",
  unsure: "--st-orange-color",
  not_a_digit: "--st-gray-color",
};

class Drawing {
  constructor(root, data) {
    this.root = root;
    this.canvas = root.querySelector("canvas");
    this.width = root.querySelector("input");
    this.tool = "pen";
    [this.canvas.width, this.canvas.height] = [data.width * SHARP, data.height * SHARP];
    this.strokes = data.strokes;
    this.past = []; // what undo goes back to, and redo forth
    this.future = [];
    this.stroke = null; // the one being drawn
    this.pen = { x: data.width / 2, y: data.height / 2 }; // where the keyboard has it
    this.version = data.answered;
    this.waiting = false;
    this.listen();
  }

  listen() {
    const { canvas, root } = this;
    canvas.onpointerdown = (event) => event.isPrimary && event.button === 0 && this.touch(event);
    canvas.onpointermove = (event) => event.pointerId === this.pointer && this.follow(event);
    canvas.onpointerup = canvas.onpointercancel = (event) => {
      if (event.pointerId === this.pointer) this.lift();
    };
    canvas.onkeydown = (event) => this.key(event);
    canvas.onblur = () => this.lift();
    for (const button of root.querySelectorAll("[data-do]")) {
      button.onclick = () => this[button.dataset.do]();
    }
    for (const button of root.querySelectorAll("[data-tool]")) {
      button.onclick = () => this.take(button.dataset.tool);
    }
  }

  // --- drawing -------------------------------------------------------------------------------

  touch(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointer = event.pointerId;
    this.set(this.place(event));
  }

  follow(event) {
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) this.draw(this.place(each));
  }

  place(event) {
    const frame = this.canvas.getBoundingClientRect();
    const scale = this.canvas.width / SHARP / frame.width;
    return [(event.clientX - frame.left) * scale, (event.clientY - frame.top) * scale];
  }

  set([x, y]) {
    const width = Number(this.width.value);
    const points = [[Math.round(x), Math.round(y)]];
    this.stroke = { width, eraser: this.tool === "eraser", points };
    this.change([...this.strokes, this.stroke]);
  }

  draw([x, y]) {
    const [lastX, lastY] = this.stroke.points.at(-1);
    if (Math.hypot(x - lastX, y - lastY) < NEAR) return;
    this.stroke.points.push([Math.round(x), Math.round(y)]);
    this.changed();
  }

  lift() {
    if (!this.stroke) return;
    this.stroke = this.pointer = null;
    if (this.unsent) this.send();
  }

  take(tool) {
    this.tool = tool;
    for (const button of this.root.querySelectorAll("[data-tool]")) {
      button.setAttribute("aria-pressed", button.dataset.tool === tool);
    }
  }

  key(event) {
    const command = event.ctrlKey || event.metaKey;
    const move = ARROWS[event.key];
    if (command && event.key.toLowerCase() === "z") event.shiftKey ? this.redo() : this.undo();
    else if (command && event.key === "y") this.redo();
    else if (event.key === "Delete" || event.key === "Backspace") this.clear();
    else if (event.key === " ") this.stroke ? this.lift() : this.set([this.pen.x, this.pen.y]);
    else if (move) this.movePen(move);
    else return;
    event.preventDefault();
  }

  movePen([right, down]) {
    const inside = (value, size) => Math.min(Math.max(value, 0), size / SHARP);
    this.pen.x = inside(this.pen.x + right * STEP, this.canvas.width);
    this.pen.y = inside(this.pen.y + down * STEP, this.canvas.height);
    if (this.stroke) this.draw([this.pen.x, this.pen.y]);
    else this.show();
  }

  // --- undo and redo -------------------------------------------------------------------------

  change(strokes) {
    this.past.push(this.strokes);
    this.future = [];
    this.strokes = strokes;
    this.changed();
  }

  undo() {
    this.swap(this.past, this.future);
  }

  redo() {
    this.swap(this.future, this.past);
  }

  swap(from, to) {
    if (!from.length) return;
    to.push(this.strokes);
    this.strokes = from.pop();
    this.changed();
  }

  clear() {
    if (this.strokes.length) this.change([]);
  }

  // --- to the server and back ----------------------------------------------------------------

  changed() {
    this.unsent = true;
    this.boxes = this.strokes.length ? this.boxes : [];
    if (!this.waiting || !this.stroke) this.send();
    this.show();
  }

  send() {
    this.unsent = false;
    this.waiting = true;
    this.version += 1;
    this.post({ version: this.version, strokes: this.strokes });
  }

  answer(data, post) {
    this.post = post;
    this.boxes = this.strokes.length ? data.boxes : [];
    this.waiting = data.answered < this.version;
    if (!this.waiting && this.unsent) this.send();
    this.show();
  }

  // --- what is seen --------------------------------------------------------------------------

  show() {
    this.canvas.ariaBusy = this.waiting; // what stands beside it is of an earlier state
    const ink = this.canvas.getContext("2d");
    ink.setTransform(SHARP, 0, 0, SHARP, 0, 0);
    ink.clearRect(0, 0, this.canvas.width, this.canvas.height);
    ink.lineCap = ink.lineJoin = "round";
    const colour = (name) => getComputedStyle(this.canvas).getPropertyValue(name);
    ink.strokeStyle = colour("color");
    for (const stroke of this.strokes) this.showStroke(ink, stroke);
    ink.globalCompositeOperation = "source-over";
    for (const box of this.boxes) this.showBox(ink, box, colour(COLOURS[box.status]));
    if (this.canvas.matches(":focus-visible")) this.showPen(ink, colour("--st-primary-color"));
    this.root.querySelector(".hint").hidden = this.strokes.length > 0;
    this.root.querySelector("[data-do=undo]").disabled = !this.past.length;
    this.root.querySelector("[data-do=redo]").disabled = !this.future.length;
    this.root.querySelector("[data-do=clear]").disabled = !this.strokes.length;
  }

  showStroke(ink, { width, eraser, points }) {
    ink.globalCompositeOperation = eraser ? "destination-out" : "source-over";
    ink.lineWidth = width;
    ink.beginPath();
    ink.moveTo(...points[0]);
    for (const point of points) ink.lineTo(...point);
    ink.stroke();
  }

  showBox(ink, { box: [x, y, width, height], label }, colour) {
    ink.strokeStyle = ink.fillStyle = colour;
    ink.lineWidth = 1.5;
    ink.strokeRect(x - 4, y - 4, width + 8, height + 8);
    ink.font = "600 18px sans-serif";
    ink.fillText(label, x - 4, y > 26 ? y - 10 : y + height + 22);
  }

  showPen(ink, colour) {
    ink.strokeStyle = colour;
    ink.lineWidth = 2;
    ink.beginPath();
    ink.arc(this.pen.x, this.pen.y, Number(this.width.value) / 2 + 2, 0, 2 * Math.PI);
    ink.stroke();
  }
}

// Streamlit calls this for a new sheet, and again with each answer and each change of theme.
export default function ({ data, parentElement, setStateValue }) {
  parentElement.drawing ??= new Drawing(parentElement, data);
  parentElement.drawing.answer(data, (sent) => setStateValue("drawing", sent));
}
