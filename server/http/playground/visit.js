// The runs of this visit, newest first.
import { announce, byId } from './dom.js';
import { counted } from './sentences.js';
import { RunView } from './run_view.js';

/** Pictures that are kept; the oldest finished runs leave beyond it, so that a long visit does not fill the memory. */
const MOST_PICTURES = 256;

/** Keeps runs and shows them. `actions` as RunView's, without remove. */
export class Visit {
  #runs = [];  // {run, view}, newest first.
  #actions;

  constructor(actions) {
    this.#actions = { ...actions, remove: (run) => this.#remove(run) };
    byId('clear').onclick = () => this.#clear();
  }

  add(run) {
    const view = new RunView(run, this.#actions);
    this.#runs.unshift({ run, view });
    byId('runs').prepend(view.element);
    this.#trim();
    this.#show();
    view.element.scrollIntoView({ block: 'nearest' });  // On a narrow page it is below the form.
  }

  #trim() {
    let pictures = 0;
    this.#runs = this.#runs.filter((entry, i) => {
      pictures += entry.run.drawings.length;
      const stays = i === 0 || pictures <= MOST_PICTURES || entry.run.running;
      if (!stays) this.#drop(entry);
      return stays;
    });
  }

  #drop({ run, view }) {
    view.element.remove();
    run.release();
  }

  #remove(run) {
    const at = this.#runs.findIndex((entry) => entry.run === run);
    this.#drop(this.#runs[at]);
    this.#runs.splice(at, 1);
    this.#show();
    byId('results').focus();
    announce(`Removed ${run.title}.`);
  }

  #clear() {
    const pictures = this.#runs.reduce((sum, { run }) => sum + run.drawings.length, 0);
    for (const entry of this.#runs.splice(0)) this.#drop(entry);
    this.#show();
    byId('results').focus();
    announce(`Removed ${counted(pictures, 'picture')}.`);
  }

  #show() {
    byId('empty').hidden = this.#runs.length > 0;
    byId('clear').hidden = this.#runs.length === 0;
  }
}
