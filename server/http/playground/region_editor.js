// Where to generate: a box, or a mask drawn by hand, on a canvas over the picture. One pixel of the canvas is one of the picture.
import { pngOf } from './pictures.js';
import { paintStroke, REGION_COLOUR } from './strokes.js';

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Fires `change` when the region has changed, by whom `by`: "pointer" or "keyboard". `box` is {x0, y0, x1, y1} in pixels, half
 * open; `tool` box, brush or eraser; `size` the brush's width in pixels.
 */
export class RegionEditor extends EventTarget {
  #canvas;
  #cursor;
  #context;
  #strokes = [];
  #from = null;  // Where a pointer that is down began.
  #at = [0, 0];  // The brush, for the keyboard.

  /** `cursor` is an element that is laid over the canvas where the brush is. */
  constructor(canvas, cursor) {
    super();
    this.#canvas = canvas;
    this.#cursor = cursor;
    this.#context = canvas.getContext('2d', { willReadFrequently: true });
    this.tool = 'box';
    this.keep = false;
    canvas.addEventListener('pointerdown', (event) => this.#down(event));
    canvas.addEventListener('pointermove', (event) => this.#move(event));
    canvas.addEventListener('pointerup', () => this.#up());
    canvas.addEventListener('pointercancel', () => this.#up());
    canvas.addEventListener('pointerleave', () => { cursor.hidden = true; });
    canvas.addEventListener('keydown', (event) => this.#key(event));
    canvas.addEventListener('blur', () => { cursor.hidden = true; });
  }

  get width() { return this.#canvas.width; }

  get height() { return this.#canvas.height; }

  /** Starts anew for a picture of this size: a box in its middle, no strokes. */
  load(width, height) {
    Object.assign(this.#canvas, { width, height });
    const quarter = (length) => Math.floor(length / 4);
    this.box = {
      x0: quarter(width), y0: quarter(height), x1: Math.max(1, width - quarter(width)), y1: Math.max(1, height - quarter(height)),
    };
    this.size = Math.max(1, Math.round(Math.max(width, height) / 8));
    this.#strokes = [];
    this.#at = [width / 2, height / 2];
    this.paint();
  }

  /** Takes a box, within the picture and at least a pixel wide and high. */
  setBox({ x0, y0, x1, y1 }, by = 'fields') {
    const left = clamp(Math.min(x0, x1), 0, this.width - 1);
    const top = clamp(Math.min(y0, y1), 0, this.height - 1);
    this.box = {
      x0: left, y0: top, x1: clamp(Math.max(x0, x1), left + 1, this.width), y1: clamp(Math.max(y0, y1), top + 1, this.height),
    };
    this.#changed(by);
  }

  undo() {
    this.#strokes.pop();
    this.#changed('buttons');
  }

  clear() {
    this.#strokes = [];
    this.#changed('buttons');
  }

  get canUndo() { return this.#strokes.length > 0; }

  /** Draws the region anew, by its tool. */
  paint() {
    this.#context.clearRect(0, 0, this.width, this.height);
    if (this.tool !== 'box') {
      for (const stroke of this.#strokes) paintStroke(this.#context, stroke);
      return;
    }
    const { x0, y0, x1, y1 } = this.box;
    this.#context.fillStyle = REGION_COLOUR;
    this.#context.fillRect(x0, y0, x1 - x0, y1 - y0);
  }

  /**
   * The region as a recipe has it: {box, keep} or {mask: Blob of a PNG whose white is generated}, each with
   * `generated(x, y)`, whether a pixel is generated. Null: nothing is drawn.
   */
  async region() {
    const { data } = this.#context.getImageData(0, 0, this.width, this.height);
    const { width, keep, box } = this;
    const generated = (x, y) => (data[4 * (y * width + x) + 3] > 0) !== keep;
    if (this.tool === 'box') return { box, keep, generated };
    if (!data.some((value) => value > 0)) return null;
    return { mask: await this.#maskFile(data), generated };
  }

  #maskFile(data) {
    const mask = Object.assign(document.createElement('canvas'), { width: this.width, height: this.height });
    const context = mask.getContext('2d');
    const image = context.createImageData(this.width, this.height);
    for (let i = 0; i < data.length; i += 4) {
      image.data.fill((data[i + 3] > 0) === this.keep ? 0 : 255, i, i + 3);
      image.data[i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    return pngOf(mask);
  }

  #changed(by) {
    this.paint();
    this.dispatchEvent(Object.assign(new Event('change'), { by }));
  }

  #point(event) {
    const area = this.#canvas.getBoundingClientRect();
    return [((event.clientX - area.left) * this.width) / area.width, ((event.clientY - area.top) * this.height) / area.height];
  }

  #down(event) {
    if (event.button !== 0) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#from = this.#point(event);
    if (this.tool !== 'box') this.#begin(this.#from);
    this.#move(event);
  }

  #move(event) {
    const [x, y] = this.#point(event);
    this.#showCursor(x, y);
    if (this.#from === null) return;
    if (this.tool === 'box') this.#drag(x, y);
    else this.#extend(x, y);
  }

  #up() {
    if (this.#from === null) return;
    this.#from = null;
    this.#changed('pointer');
  }

  #drag(x, y) {
    const [fromX, fromY] = this.#from;
    this.setBox({
      x0: Math.floor(Math.min(fromX, x)), y0: Math.floor(Math.min(fromY, y)),
      x1: Math.ceil(Math.max(fromX, x)), y1: Math.ceil(Math.max(fromY, y)),
    }, 'drag');
  }

  #begin(point) {
    this.#strokes.push({ erase: this.tool === 'eraser', size: this.size, points: [point] });
    paintStroke(this.#context, this.#strokes.at(-1));
  }

  #extend(x, y) {
    const stroke = this.#strokes.at(-1);
    stroke.points.push([x, y]);
    paintStroke(this.#context, stroke, stroke.points.length - 1);
  }

  #showCursor(x, y) {
    this.#cursor.hidden = this.tool === 'box';
    const [left, top, across] = [(100 * x) / this.width, (100 * y) / this.height, (100 * this.size) / this.width];
    this.#cursor.style.setProperty('left', `${left}%`);
    this.#cursor.style.setProperty('top', `${top}%`);
    this.#cursor.style.setProperty('width', `${across}%`);
  }

  /** Arrows move the box, with Shift its lower right corner; or they move the brush, and the space bar paints. */
  #key(event) {
    const arrow = ARROWS[event.key];
    const paints = this.tool !== 'box' && (event.key === ' ' || event.key === 'Enter');
    if (!arrow && !paints) return;
    event.preventDefault();
    const step = Math.max(1, Math.round(this.width / 64));
    const [dx, dy] = (arrow ?? [0, 0]).map((direction) => direction * step);
    if (this.tool === 'box') this.#moveBox(dx, dy, event.shiftKey);
    else this.#moveBrush(dx, dy, paints);
  }

  #moveBox(dx, dy, resize) {
    const { x0, y0, x1, y1 } = this.box;
    if (resize) return this.setBox({ x0, y0, x1: Math.max(x0 + 1, x1 + dx), y1: Math.max(y0 + 1, y1 + dy) }, 'keyboard');
    const x = clamp(dx, -x0, this.width - x1);
    const y = clamp(dy, -y0, this.height - y1);
    return this.setBox({ x0: x0 + x, y0: y0 + y, x1: x1 + x, y1: y1 + y }, 'keyboard');
  }

  #moveBrush(dx, dy, paints) {
    this.#at = [clamp(this.#at[0] + dx, 0, this.width), clamp(this.#at[1] + dy, 0, this.height)];
    this.#showCursor(...this.#at);
    if (!paints) return;
    this.#begin([...this.#at]);
    this.#changed('keyboard');
  }
}
