// The playground: one page over the server's own HTTP API. This file wires the parts; each part says what it does.
import { Api } from './api.js';
import { Combobox } from './combobox.js';
import { byId, make } from './dom.js';
import { askForKey } from './key_dialog.js';
import { setUpLooks } from './looks.js';
import { Run } from './runs.js';
import { advice, counted, sentence } from './sentences.js';
import { checkFields, drawSettings, restoreSettings, showDefaults } from './settings.js';
import { ladder } from './tile.js';
import { setUpUploads } from './uploads.js';
import { Visit } from './visit.js';
import { Workbench } from './workbench.js';

const api = new Api(askForKey);
const form = byId('draw');
const classes = new Combobox(byId('class'));
let models = [];

const modelOf = (name) => models.find(({ id }) => id === name) ?? models[0];

/** Starts a run and shows it. */
function start(recipe) {
  const run = new Run(recipe);
  run.follow(api);  // First, so that the request is on its way while the page makes room for it.
  visit.add(run);
  return run;
}

const workbench = new Workbench({ modelOf, start, currentSettings: () => drawSettings(form), hasKey: () => api.hasKey });

const visit = new Visit({
  open: (drawing) => workbench.openDrawing(drawing),
  again: (run) => start(run.asked),
  reuse: (run) => {
    restoreSettings(form, run.recipe.settings, run.drawings[0].seed);
    byId('class').focus();
  },
});

function draw(event) {
  event.preventDefault();
  const settings = drawSettings(form);
  start({ settings, patchNums: modelOf(settings.model).patch_nums });
}

function showModel() {
  const model = modelOf(byId('model').value);
  const wasKnown = model.classes.includes(byId('class').value);
  classes.options = model.classes;
  if (!wasKnown) byId('class').value = model.classes[Math.floor(Math.random() * model.classes.length)] ?? '';
  showDefaults(form, model);
  byId('server').textContent = [
    `${model.image_size} × ${model.image_size} pixels`, counted(model.classes.length, 'class', 'classes'),
    `${model.precision} on ${model.devices.join(', ')}`,
  ].join(', ');
  const { element, setDone } = ladder(model.patch_nums);
  setDone(model.patch_nums.length);
  byId('ladder').replaceChildren(element);
}

function showCustomField() {
  byId('custom-field').hidden = byId('schedule').value !== 'custom';
  checkFields(form);
}

/** Fills the page with what the server holds; where that fails, says why and offers another try. */
async function load() {
  byId('notices').replaceChildren();
  try {
    models = await api.models();
    byId('model').replaceChildren(...models.map(({ id }) => make('option', { value: id }, id)));
    showModel();
  } catch (error) {
    const again = make('button', { type: 'button', onclick: load }, 'Try again');
    byId('notices').replaceChildren(make('div', { className: 'problem', role: 'alert' },
      make('p', {}, make('strong', {}, sentence(error.message)), ' ', advice(error)), again));
  }
  byId('draw-button').disabled = models.length === 0;
}

setUpLooks();
setUpUploads((picture) => models.length > 0 && workbench.openUpload(picture));
form.addEventListener('submit', draw);
form.addEventListener('input', () => checkFields(form));
byId('model').addEventListener('change', showModel);
byId('schedule').addEventListener('change', showCustomField);
load();
