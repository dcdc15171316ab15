// The picture that is worked on: the source or a result, finished or at one of its scales.
import { byId, make } from './dom.js';
import { compareOutside } from './pictures.js';
import { counted } from './sentences.js';
import { showPicture } from './tile.js';

/**
 * Shows a subject ({picture, title, drawing|null}) and, beside it, results of what was asked for. `onShow(drawing, title, picture)` is
 * called with what is looked at: a finished Drawing (the subject's while a result grows, null for an upload), and the Picture of
 * it, or null. `onContinue(drawing)` is called for the result that is to be worked on next.
 */
export class Stage {
  #subject = null;
  #result = null;  // A Drawing.
  #scale = null;  // Which preview is shown; null: the latest picture.
  #side = 'source';
  #editable = false;
  #noted = null;  // The Drawing whose comparison is shown, or being made.

  #onShow;

  constructor(onShow, onContinue) {
    this.#onShow = onShow;
    byId('show-source').onclick = () => this.showSource();
    byId('show-result').onclick = () => this.showResult(this.#result);
    byId('continue').onclick = () => onContinue(this.#result);
  }

  load(subject) {
    this.#subject = subject;
    this.#result = null;
    this.showSource();
  }

  /** Whether the region may be drawn: then it is seen over the source. */
  setEditable(editable) {
    this.#editable = editable;
    this.render();
  }

  /** The source: as it is, or at one of its scales (from 0). */
  showSource(scale = null) {
    this.#side = 'source';
    this.#scale = scale;
    this.render();
  }

  /** What is shown, but finished. */
  showWhole() {
    this.#scale = null;
    this.render();
  }

  showResult(drawing) {
    this.#result = drawing;
    this.#side = 'result';
    this.#scale = null;
    this.render();
  }

  /** A result has grown: shown if it is the one that is looked at. */
  resultChanged(drawing) {
    if (this.#result === drawing) this.render();
  }

  /** Shows what has changed. */
  render() {
    const drawing = this.#side === 'result' ? this.#result : this.#subject.drawing;
    const picture = this.#picture(drawing);
    if (picture) showPicture(byId('stage-picture'), picture);
    this.#showShape(picture ?? this.#subject.picture);
    const title = drawing?.title ?? this.#subject.title;
    byId('stage-picture').alt = this.#scale === null ? title : `${title}, scale ${this.#scale + 1}`;
    byId('region').hidden = !this.#editable || this.#side === 'result' || this.#scale !== null;
    byId('region').setAttribute('aria-label', `Region of ${title}`);
    this.#showCompare();
    this.#showStrip(drawing);
    this.#showNote(drawing);
    this.#onShow(drawing?.picture ? drawing : this.#subject.drawing, title, picture);
  }

  #picture(drawing) {
    if (!drawing) return this.#subject.picture;
    return (this.#scale === null ? null : drawing.previews[this.#scale]) ?? drawing.latest;
  }

  #showShape({ width, height }) {
    byId('stage').style.setProperty('--shape', `${width} / ${height}`);
    byId('stage').style.setProperty('--tall', String(width / height));
  }

  #showCompare() {
    byId('compare').hidden = this.#result === null;
    byId('show-source').setAttribute('aria-pressed', String(this.#side === 'source'));
    byId('show-result').setAttribute('aria-pressed', String(this.#side === 'result'));
    byId('continue').disabled = !this.#result?.picture;
  }

  #showStrip(drawing) {
    const strip = byId('strip');
    const scales = drawing?.previews.length ? [...drawing.previews.keys(), ...(drawing.picture ? [null] : [])] : [];
    const focused = [...strip.children].indexOf(document.activeElement);
    strip.hidden = scales.length === 0;
    strip.replaceChildren(...scales.filter((scale) => scale === null || drawing.previews[scale])
      .map((scale) => this.#step(drawing, scale)));
    if (focused >= 0) strip.children[focused]?.focus();
  }

  #step(drawing, scale) {
    const picture = scale === null ? drawing.picture : drawing.previews[scale];
    const index = scale ?? drawing.run.scales - 1;
    const side = drawing.run.recipe.patchNums[index];
    const button = make('button', {
      type: 'button', 'aria-pressed': String(scale === this.#scale), 'aria-label': `Scale ${index + 1}, ${side} by ${side}`,
    }, make('img', { src: picture.url, alt: '', className: picture.width < 256 ? 'small' : '' }), make('span', {}, `${side}×${side}`));
    button.onclick = () => {
      this.#scale = scale;
      this.render();
    };
    return button;
  }

  /** What an edit left alone, counted pixel by pixel where source and result can be compared. */
  async #showNote(drawing) {
    const note = byId('stage-note');
    const { edit } = drawing?.run.recipe ?? {};
    const shown = this.#side === 'result' && this.#scale === null && drawing.picture;
    const comparable = shown && edit && !edit.resize && edit.source.blob.type !== 'image/jpeg';
    this.#noted = comparable ? drawing : null;
    if (!comparable) {
      note.textContent = '';
      return;
    }
    drawing.untouched ??= await compareOutside(edit.source, drawing.picture, edit.region.generated);
    if (this.#noted !== drawing) return;
    const { outside, changed } = drawing.untouched;
    note.textContent = changed === 0 ? `All ${counted(outside, 'pixel')} outside the region are the source’s own.`
      : `${changed} of ${counted(outside, 'pixel')} outside the region differ from the source.`;
  }
}
