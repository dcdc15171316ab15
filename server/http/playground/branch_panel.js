// The form of branching: other pictures that begin with the first scales of one.
import { byId } from './dom.js';
import { counted } from './sentences.js';
import { basicSettings, checkFields } from './settings.js';
import { inherited } from './edit_panel.js';

/** Binds the form. `onKeep(scales)` is called when the slider moves; `onSubmit(recipe)` gets the branch. */
export class BranchPanel {
  #form = byId('panel-branch');
  #drawing = null;
  #model = null;

  constructor(onKeep, onSubmit) {
    const form = this.#form;
    form.elements.keep.addEventListener('input', () => {
      this.#tell();
      onKeep(this.keep);
    });
    form.elements.seed.addEventListener('input', () => checkFields(form));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      onSubmit(this.#recipe());
    });
  }

  /** Whether there is anything to branch off: the tokens of at least one scale, and a finer one after it. */
  static canBranch(drawing, model) {
    return drawing.tokens.length > 0 && model.patch_nums.length > 1;
  }

  open(drawing, model) {
    this.#drawing = drawing;
    this.#model = model;
    const { keep, n } = this.#form.elements;
    keep.max = Math.min(drawing.tokens.length, model.patch_nums.length - 1);
    keep.value = Math.ceil(keep.max / 2);
    n.max = model.max_images;
    this.#tell();
  }

  /** Scales that are kept. */
  get keep() {
    return Number(this.#form.elements.keep.value);
  }

  #tell() {
    const sides = this.#model.patch_nums;
    const tokens = (scales) => scales.reduce((sum, side) => sum + side * side, 0);
    const kept = sides.slice(0, this.keep);
    byId('keep-value').textContent = `${this.keep} of ${sides.length}`;
    byId('keep-help').textContent = `Up to ${kept.at(-1)} by ${kept.at(-1)}: ${counted(tokens(kept), 'token')} of ${tokens(sides)}.`;
    this.#form.elements.keep.setAttribute('aria-valuetext', `${this.keep} of ${sides.length} scales`);
  }

  #recipe() {
    const { recipe } = this.#drawing.run;
    return {
      settings: { ...inherited(recipe.settings), class: recipe.settings.class, ...basicSettings(this.#form) },
      patchNums: this.#model.patch_nums,
      prefix: this.#drawing.tokens.slice(0, this.keep),
      parent: this.#drawing,
    };
  }
}
