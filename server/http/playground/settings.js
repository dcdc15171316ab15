// From the forms to what a request asks for.

const SEED_LIMIT = 1n << 64n;
const NUMBERS = ['cfg_scale', 'top_k', 'top_p', 'temperature', 'max_scales', 'priority', 'timeout'];

/** A schedule of one's own as lists of tokens, or null where the text is none. */
function customSchedule(text) {
  try {
    const scales = JSON.parse(text);
    const isList = (list, holds) => Array.isArray(list) && list.length > 0 && list.every(holds);
    return isList(scales, (passes) => isList(passes, (tokens) => Number.isInteger(tokens) && tokens > 0)) ? scales : null;
  } catch {
    return null;
  }
}

/** Says by the browser's own means what is wrong with what it cannot check itself. Call it when a field changes. */
export function checkFields(form) {
  const { seed, custom, mask_schedule: schedule } = form.elements;
  const tooLarge = /^\d+$/.test(seed.value) && BigInt(seed.value) >= SEED_LIMIT;
  seed.setCustomValidity(tooLarge ? 'A seed is below 2 to the 64th, 18446744073709551616.' : '');
  if (custom) {
    const wrong = schedule.value === 'custom' && customSchedule(custom.value) === null;
    custom.setCustomValidity(wrong ? 'Lists of whole numbers as JSON, one list a scale, such as [[1],[1,3]].' : '');
  }
}

/** What the forms of editing and branching have, too: {n, seed?}. */
export const basicSettings = ({ elements: { n, seed } }) => ({
  n: Number(n.value),
  ...(seed.value && { seed: seed.value }),
});

/** The settings of the form of drawing, named as the API's fields; what is empty is left out. */
export function drawSettings(form) {
  const fields = form.elements;
  const settings = { class: fields.class.value.trim(), model: fields.model.value, ...basicSettings(form) };
  for (const name of NUMBERS) {
    if (fields[name].value !== '') settings[name] = Number(fields[name].value);
  }
  if (fields.mask_schedule.value === 'custom') settings.mask_schedule = customSchedule(fields.custom.value);
  else if (fields.mask_schedule.value !== 'default') settings.mask_schedule = fields.mask_schedule.value;
  if (fields.on_deadline.value && 'timeout' in settings) settings.on_deadline = fields.on_deadline.value;
  settings.previews = fields.previews.value;
  return settings;
}

/** Puts a run's settings back into the form of drawing, with this seed. */
export function restoreSettings(form, settings, seed) {
  const fields = form.elements;
  fields.model.value = settings.model;
  fields.model.dispatchEvent(new Event('change', { bubbles: true }));
  for (const name of ['class', 'n', 'previews']) fields[name].value = settings[name];
  for (const name of [...NUMBERS, 'on_deadline']) fields[name].value = settings[name] ?? '';
  fields.seed.value = seed ?? '';
  const schedule = settings.mask_schedule ?? 'default';
  fields.mask_schedule.value = Array.isArray(schedule) ? 'custom' : schedule;
  if (Array.isArray(schedule)) fields.custom.value = JSON.stringify(schedule);
  fields.mask_schedule.dispatchEvent(new Event('change', { bubbles: true }));
}

/** Shows what the model does by itself where the form is empty. */
export function showDefaults(form, model) {
  const fields = form.elements;
  const { mask_schedule: schedule, ...sampling } = model.sampling;
  for (const [name, value] of Object.entries(sampling)) {
    if (fields[name]) fields[name].placeholder = String(Math.round(value * 1e4) / 1e4);
  }
  if (schedule && fields.mask_schedule.value !== 'custom') fields.custom.value = JSON.stringify(schedule);
  fields.max_scales.max = model.patch_nums.length;
  fields.n.max = model.max_images;
}
