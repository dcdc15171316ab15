// The form of editing: tool, region, class, how many.
import { announce, byId } from './dom.js';
import { Combobox } from './combobox.js';
import { boxText } from './api.js';
import { basicSettings, checkFields } from './settings.js';

const CORNERS = ['x0', 'y0', 'x1', 'y1'];
const HELP = {
  box: 'Drag on the picture, or give its edges in pixels. With the keyboard on the picture, arrows move the box; with Shift they '
    + 'resize it.',
  brush: 'Paint what is to be generated. With the keyboard on the picture, arrows move the brush and the space bar paints.',
  eraser: 'Take away from what is painted. With the keyboard on the picture, arrows move the eraser and the space bar erases.',
};

/** The settings that an edit or a branch takes over from what was drawn before. */
export function inherited({ class: _class, n: _n, seed: _seed, max_scales: _scales, ...settings }) {
  return settings;
}

/** Binds the form to a RegionEditor. `onTouch()` is called when the region is worked on; `onSubmit(recipe)` gets the edit. */
export class EditPanel {
  #form = byId('panel-edit');
  #classes = new Combobox(byId('edit-class'));
  #editor;
  #onTouch;
  #context = null;

  constructor(editor, onTouch, onSubmit) {
    this.#editor = editor;
    this.#onTouch = onTouch;
    const form = this.#form;
    editor.addEventListener('change', (event) => this.#regionChanged(event.by));
    form.addEventListener('input', (event) => this.#fieldChanged(event.target));
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const recipe = await this.#recipe();
      if (recipe) onSubmit(recipe);
    });
    byId('undo').onclick = () => editor.undo();
    byId('clear-mask').onclick = () => editor.clear();
  }

  /** Starts with a picture, the model that will edit it, and what is taken over of the settings. */
  open(picture, model, settings) {
    this.#context = { picture, model, settings: inherited(settings) };
    this.#editor.load(picture.width, picture.height);
    this.#classes.options = model.classes;
    const { elements } = this.#form;
    elements.n.max = model.max_images;
    elements['brush-size'].max = Math.max(2, Math.ceil(Math.max(picture.width, picture.height) / 3));
    elements['brush-size'].value = this.#editor.size;
    for (const corner of CORNERS) elements[corner].max = corner.startsWith('x') ? picture.width : picture.height;
    byId('resize-field').hidden = this.#fits;
    this.#toolChanged();
    this.#showRegion();
  }

  get #fits() {
    const { picture, model } = this.#context;
    return picture.width === model.image_size && picture.height === model.image_size;
  }

  #fieldChanged(field) {
    if (field.name === 'tool') this.#toolChanged();
    else if (field.name === 'side') this.#editor.keep = field.value === 'outside';
    else if (field.id === 'brush-size') this.#editor.size = Number(field.value);
    else if (CORNERS.includes(field.name)) this.#boxTyped();
    else return checkFields(this.#form);
    this.#onTouch();
    return this.#showSize();
  }

  #toolChanged() {
    const tool = this.#form.elements.tool.value;
    this.#editor.tool = tool;
    this.#editor.keep = this.#form.elements.side.value === 'outside';
    this.#editor.paint();
    byId('box-fields').hidden = tool !== 'box';
    byId('box-fields').disabled = tool !== 'box';  // Hidden fields must not hold up the form.
    byId('brush-fields').hidden = tool === 'box';
    byId('region-help').textContent = HELP[tool];
    this.#showSize();
  }

  #showSize() {
    byId('brush-size-value').textContent = `${this.#editor.size} px`;
    byId('undo').disabled = !this.#editor.canUndo;
    byId('clear-mask').disabled = !this.#editor.canUndo;
  }

  /** Corners that cross, as they do while one types, wait for the rest. */
  #boxTyped() {
    const { elements } = this.#form;
    const box = Object.fromEntries(CORNERS.map((corner) => [corner, Number(elements[corner].value)]));
    const crossed = box.x0 >= box.x1 || box.y0 >= box.y1;
    elements.x1.setCustomValidity(crossed ? 'Left is less than right, top less than bottom.' : '');
    if (!crossed && CORNERS.every((corner) => elements[corner].checkValidity())) this.#editor.setBox(box);
  }

  #regionChanged(by) {
    this.#showRegion(by === 'fields');
    this.#onTouch();
    if (by === 'keyboard' && this.#editor.tool === 'box') announce(`Box ${boxText(this.#editor.box).replaceAll(',', ', ')}`);
    if (by === 'keyboard' && this.#editor.tool !== 'box') announce(this.#editor.tool === 'brush' ? 'Painted' : 'Erased');
  }

  #showRegion(typed = false) {
    if (!typed) for (const corner of CORNERS) this.#form.elements[corner].value = this.#editor.box[corner];
    this.#form.elements.x1.setCustomValidity('');
    this.#showSize();
  }

  async #recipe() {
    const { elements } = this.#form;
    const { picture, model, settings } = this.#context;
    const region = await this.#editor.region();
    if (region === null) {
      announce('Nothing is painted yet: paint on the picture what is to be generated.');
      byId('stage-note').textContent = 'Nothing is painted yet: paint on the picture what is to be generated.';
      return null;
    }
    return {
      settings: { ...settings, class: elements.class.value.trim(), ...basicSettings(this.#form) },
      patchNums: model.patch_nums,
      edit: {
        source: picture,
        region,
        feather: Number(elements.feather.value),
        ...(!this.#fits && { resize: elements.resize.value }),
      },
    };
  }
}
