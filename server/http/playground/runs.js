// What is being drawn: a run is one request, its drawings are the request's pictures. No elements here.
import { ApiError } from './api.js';
import { pictureOf } from './pictures.js';

/** One picture of a run, from nothing to finished. */
export class Drawing {
  constructor(run, index) {
    this.run = run;
    this.index = index;
    this.previews = [];  // Picture by scale; holes where a preview was left out.
    this.picture = null;  // The finished Picture.
    this.seed = null;  // Decimal string, once the server has said it.
    this.tokens = [];
    this.receipt = null;
    this.degraded = false;
  }

  /** The furthest Picture so far, or null. */
  get latest() {
    return this.picture ?? this.previews.at(-1) ?? null;
  }

  /** Scales that are there, of `run.scales`. */
  get scalesDone() {
    return this.picture ? this.run.scales : this.previews.length;
  }

  /** "ship, seed 7". */
  get title() {
    return this.seed === null ? this.run.title : `${this.run.title}, seed ${this.seed}`;
  }

  /** The start of its files' names: "ship-7". */
  get stem() {
    const stem = this.run.title.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '') || 'picture';
    return this.seed === null ? stem : `${stem}-${this.seed}`;
  }

  release() {
    for (const picture of [...this.previews, this.picture]) picture?.release();
  }
}

/** A seed where none is asked for: of few digits, since people note them down. */
const shortSeed = () => String(crypto.getRandomValues(new Uint32Array(1))[0] % 1_000_000);

/** What is no picture, or no event, of the server's. */
const notShown = (error) => new ApiError(500, { message: `This page cannot read the answer: ${error.message}` });

/**
 * One request and what comes of it. Fires `change` after every event, its `drawing` the one that changed or null.
 * `state`: sent, accepted, done, failed (`error` is the ApiError) or cancelled.
 * `asked` is the recipe as it came, `recipe` the same with a seed.
 * A recipe is {settings, patchNums, prefix?: tokens by scale, parent?: Drawing, edit?: {source: Picture, region, ...}}.
 */
export class Run extends EventTarget {
  #abort = new AbortController();

  constructor(recipe) {
    super();
    this.asked = recipe;
    this.recipe = { ...recipe, settings: { seed: shortSeed(), ...recipe.settings } };
    this.state = 'sent';
    this.accepted = null;  // {ahead, seconds, at}: at is performance.now().
    this.completed = null;
    this.error = null;
    this.scales = recipe.settings.max_scales ?? recipe.patchNums.length;
    this.drawings = Array.from({ length: recipe.settings.n }, (_, index) => new Drawing(this, index));
  }

  get title() {
    const { settings: { class: target }, edit, prefix } = this.recipe;
    const kind = (edit && 'Edit') || (prefix && 'Branch');
    return [kind, target].filter(Boolean).join(': ');
  }

  get running() {
    return this.state === 'sent' || this.state === 'accepted';
  }

  /** Of all pictures' scales, the share that is there: 0 to 1. */
  get progress() {
    return this.drawings.reduce((sum, drawing) => sum + drawing.scalesDone / this.scales, 0) / this.drawings.length;
  }

  /** Draws by the api until done, failed or cancelled. Never throws. */
  async follow(api) {
    this.sentAt = performance.now();
    try {
      for await (const event of api.draw(this.recipe, this.#abort.signal)) this.#take(event);
    } catch (error) {
      this.state = error.name === 'AbortError' ? 'cancelled' : 'failed';
      this.error = error instanceof ApiError ? error : notShown(error);
    }
    this.#changed();
  }

  /** Closes the connection, which cancels the call at the server. */
  cancel() {
    this.#abort.abort();
  }

  release() {
    this.cancel();
    for (const drawing of this.drawings) drawing.release();
  }

  #take(event) {
    const drawing = this.drawings[event.image_index] ?? null;
    if (event.type === 'hmar.accepted') this.#accept(event);
    else if (event.type === 'hmar.preview' && drawing) this.#preview(drawing, event);
    else if (event.type === 'hmar.image' && drawing) this.#finish(drawing, event);
    else if (event.type === 'hmar.completed') {
      this.state = 'done';
      this.completed = { queued: event.queued, total: event.total };
    }
    this.#changed(drawing);
  }

  #accept(event) {
    this.state = 'accepted';
    this.accepted = { ahead: event.images_ahead, seconds: event.estimated_time, at: performance.now() };
    this.drawings.forEach((drawing, index) => {
      drawing.seed = String(BigInt.asUintN(64, BigInt(event.seed) + BigInt(index)));
    });
  }

  #preview(drawing, event) {
    this.scales = event.num_scales;
    drawing.previews[event.scale] = pictureOf(event, `${drawing.stem}-scale-${event.scale}`);
  }

  #finish(drawing, event) {
    drawing.seed = event.seed;
    drawing.picture = pictureOf(event, drawing.stem);
    drawing.tokens = event.tokens ?? [];
    drawing.receipt = event.receipt ?? null;
    drawing.degraded = Boolean(event.degraded);
  }

  #changed(drawing = null) {
    this.dispatchEvent(Object.assign(new Event('change'), { drawing }));
  }
}
