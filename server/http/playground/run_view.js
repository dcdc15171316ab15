// A run on the page: its pictures, how far they are, and what went wrong.
import { announce, make } from './dom.js';
import { advice, counted, duration, fieldName, sentence } from './sentences.js';
import { Tile } from './tile.js';

/** Where a waiting run stands, in a sentence. `now` as performance.now(), milliseconds. */
export function waitingLine({ ahead, seconds, at }, now) {
  const left = seconds - (now - at) / 1000;
  const time = left > 0.05 ? `about ${duration(left)} left` : 'any moment now';
  return ahead > 0 ? `${counted(ahead, 'picture')} ahead in line; ${time}.` : `Drawing; ${time}.`;
}

/**
 * Shows a Run. `actions`: open(drawing), again(run), reuse?(run), remove?(run); those with a question mark may be missing.
 * Its `element` is an article.
 */
export class RunView {
  #run;
  #tiles;
  #status = make('p', { className: 'status' });
  #bar = make('progress', { max: 1, value: 0 });
  #problem = make('div', { className: 'problem', hidden: true });
  #buttons = make('div', { className: 'row' });
  #actions;
  #clock = null;
  #state = '';
  static #count = 0;

  constructor(run, actions) {
    this.#run = run;
    this.#actions = actions;
    this.#tiles = run.drawings.map((drawing) => new Tile(drawing, actions.open));
    const heading = make('h3', { id: `run-${RunView.#count += 1}` }, run.title);
    this.#bar.setAttribute('aria-label', `Progress of ${run.title}`);
    this.element = make('article', { className: 'run', 'aria-labelledby': heading.id },
      make('header', {}, heading, this.#status, this.#buttons), this.#bar, this.#problem,
      make('div', { className: 'tiles' }, ...this.#tiles.map((tile) => tile.element)));
    run.addEventListener('change', (event) => this.#update(event.drawing));
    this.#clock = setInterval(() => this.#tell(), 500);
    this.#update(null);
  }

  #update(drawing) {
    const tiles = drawing ? [this.#tiles[drawing.index]] : this.#tiles;
    for (const tile of tiles) tile.update();
    this.#bar.value = this.#run.progress;
    this.#tell();
    if (this.#state === this.#run.state) return;
    this.#state = this.#run.state;
    this.#enter();
  }

  /** What changes with the run's state alone. */
  #enter() {
    const run = this.#run;
    this.element.dataset.state = run.state;
    this.#bar.hidden = !run.running;
    this.#showButtons();
    if (run.state === 'failed') this.#showProblem(run.error);
    if (!run.running) clearInterval(this.#clock);
    if (run.state !== 'sent' && run.state !== 'failed') announce(`${run.title}: ${this.#line()}`);
  }

  #tell() {
    const line = this.#line();
    if (this.#status.textContent !== line) this.#status.textContent = line;
  }

  #line() {
    const { state, accepted, completed, drawings } = this.#run;
    const done = drawings.filter((drawing) => drawing.picture).length;
    if (state === 'sent') return 'Sent.';
    if (state === 'accepted') return waitingLine(accepted, performance.now());
    if (state === 'done') return `${counted(done, 'picture')} in ${duration(completed.total)}.`;
    const got = `${done} of ${counted(drawings.length, 'picture')}`;
    return state === 'cancelled' ? `Cancelled: ${got}.` : `Failed: ${got}.`;
  }

  #showButtons() {
    const run = this.#run;
    const button = (text, action) => make('button', {
      type: 'button', className: 'plain', onclick: () => action(run), 'aria-label': `${text}: ${run.title}`,
    }, text);
    const { again, reuse, remove } = this.#actions;
    const had = this.#buttons.contains(document.activeElement);
    if (run.running) this.#buttons.replaceChildren(button('Cancel', () => run.cancel()));
    else {
      this.#buttons.replaceChildren(button('Again', again), ...(reuse && !run.recipe.edit ? [button('Reuse settings', reuse)] : []),
        ...(remove ? [button('Remove', remove)] : []));
    }
    if (had) this.#buttons.firstChild.focus();  // It was on a button that is gone.
  }

  #showProblem(error) {
    const violations = error.violations?.map(({ field, message }) => make('li', {}, `${fieldName(field)}: ${message}`)) ?? [];
    const said = make('div', { role: 'alert' });  // Without the button, whose seconds nobody wants to hear counted.
    this.#problem.replaceChildren(said, this.#retryButton(error));
    this.#problem.hidden = false;
    said.append(make('p', {}, make('strong', {}, sentence(error.message)), ' ', advice(error)),
      ...(violations.length > 1 ? [make('ul', {}, ...violations)] : []));
  }

  /** "Try again", once the server says that it may help: until then it counts the seconds. */
  #retryButton(error) {
    const button = make('button', { type: 'button', onclick: () => this.#actions.again(this.#run) });
    const end = performance.now() + 1000 * (error.retryAfter ?? 0);
    const tick = () => {
      const left = Math.ceil((end - performance.now()) / 1000);
      button.disabled = left > 0;
      button.textContent = left > 0 ? `Try again in ${left} s` : 'Try again';
      if (left > 0) setTimeout(tick, 250);
      else if (error.retryAfter) announce('You may try again now.');
    };
    tick();
    return button;
  }
}
