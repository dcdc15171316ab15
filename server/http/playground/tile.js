// One picture of a run as it grows.
import { make } from './dom.js';

/** Bars, one a scale, as high as its grid is wide: how far a picture is. `setDone(n)` fills the first n. */
export function ladder(patchNums) {
  const finest = Math.max(...patchNums);
  const bars = patchNums.map((side) => {
    const bar = make('i');
    bar.style.setProperty('--height', `${(100 * side) / finest}%`);
    return bar;
  });
  const element = make('span', { className: 'ladder', 'aria-hidden': 'true' }, ...bars);
  const setDone = (done) => bars.forEach((bar, i) => bar.classList.toggle('done', i < done));
  return { element, setDone };
}

const waiting = new WeakMap();  // By img: {next}, the Picture to show after the one that is being loaded.

const loaded = (url) => new Promise((resolve) => {
  const image = new Image();
  image.onload = image.onerror = resolve;
  image.src = url;
});

/**
 * Shows a Picture in an img once it is loaded, so that nothing flickers. Where several come meanwhile, the last is next: pictures
 * that come faster than they can be shown never hold each other up. Resolves when there is nothing more to show.
 */
export async function showPicture(img, picture) {
  if (waiting.has(img)) {
    waiting.get(img).next = picture;
    return;
  }
  if (img.src === picture.url) return;
  const line = { next: picture };
  waiting.set(img, line);
  while (line.next) {
    const { url, width, height } = line.next;
    line.next = null;
    await loaded(url);  // A picture that is none shows as broken.
    Object.assign(img, { src: url, width, height });
    img.classList.toggle('small', width < 256);
    img.dispatchEvent(new Event('shown'));
  }
  waiting.delete(img);
}

/** A figure of a Drawing: its button calls `open(drawing)`. Call `update` when the drawing has changed. */
export class Tile {
  #drawing;
  #img = make('img', { alt: '' });
  #button;
  #bars;
  #seed = make('span', { className: 'seed' });
  #save = make('a', { className: 'button plain', hidden: true }, 'Save');

  constructor(drawing, open) {
    this.#drawing = drawing;
    this.#bars = ladder(drawing.run.recipe.patchNums);
    this.#button = make('button', { type: 'button', className: 'picture', onclick: () => open(drawing) }, this.#img);
    const caption = make('figcaption', {}, this.#seed, this.#bars.element, this.#save);
    this.#img.addEventListener('shown', () => requestAnimationFrame(() => this.#mark()), { once: true });
    this.element = make('figure', { className: 'tile' }, this.#button, caption);
    this.update();
  }

  update() {
    const drawing = this.#drawing;
    this.#button.disabled = drawing.picture === null;
    this.element.hidden = drawing.latest === null && !drawing.run.running;
    this.element.classList.toggle('waiting', drawing.latest === null && drawing.run.running);
    this.#bars.setDone(drawing.scalesDone);
    this.#seed.textContent = drawing.seed === null ? '' : `Seed ${drawing.seed}${drawing.degraded ? ', ended early' : ''}`;
    const label = this.#label();
    if (this.#button.getAttribute('aria-label') !== label) this.#button.setAttribute('aria-label', label);
    if (drawing.picture) this.#offer(drawing);
    if (drawing.latest) showPicture(this.#img, drawing.latest);
  }

  #label() {
    const { picture, title, scalesDone, run } = this.#drawing;
    if (picture) return `${title}: open`;
    return scalesDone > 0 ? `${title}: scale ${scalesDone} of ${run.scales}` : `${title}: waiting`;
  }

  /** A finished picture is for saving; how far it is has been said. */
  #offer(drawing) {
    this.#bars.element.hidden = true;
    Object.assign(this.#save, { hidden: false, href: drawing.picture.url, download: drawing.picture.name });
    this.#save.setAttribute('aria-label', `Save ${drawing.title}`);
  }

  /** For who measures: when the first picture of a run could be seen, since it was asked for. */
  #mark() {
    const { run } = this.#drawing;
    if (run.seen) return;
    run.seen = true;
    performance.measure('hmar-first-preview', { start: run.sentAt });
  }
}
