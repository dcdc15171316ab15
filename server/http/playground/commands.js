// The commands that make a picture again, outside of the browser: hmar, Python, curl. Pure text, quoted for where it goes.
import { boxText, fieldsOf } from './api.js';

/** A word of a POSIX shell: whatever the text, one argument. */
const shellWord = (text) => (/^[A-Za-z0-9_./:=,@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** A Python literal: JSON's strings, numbers and lists are. */
const pythonValue = JSON.stringify;

/** A file's name that no program takes for a flag. */
const safePath = (name) => (name.startsWith('-') ? `./${name}` : name);

/** What each command asks for: this picture alone, by its own seed. */
function alone(drawing) {
  const { previews, n, timeout, on_deadline: onDeadline, priority, ...settings } = drawing.run.recipe.settings;
  return { ...settings, seed: drawing.seed };
}

/** The file names that the commands use; the page offers them under these names. */
export function filesOf(drawing) {
  const { edit, parent } = drawing.run.recipe;
  return {
    image: edit && safePath(edit.source.name),
    mask: edit?.region.mask && 'mask.png',
    tokens: parent && `${parent.stem}-tokens.json`,
    out: `${drawing.stem}.png`,
  };
}

/** A tokens file of `hmar --from-tokens`, of one picture. Seeds are of 64 bits, so they are written as they came. */
export const tokensFile = ({ run, seed, tokens }) =>
  `{"model": ${JSON.stringify(run.recipe.settings.model)}, "images": [{"seed": ${seed}, "scales": ${JSON.stringify(tokens)}}]}\n`;

/** `hmar` with its flags. `server` is HOST:PORT of gRPC; `tls` whether it is reached by TLS. */
export function hmarCommand(drawing, { server, tls }) {
  const { edit, prefix } = drawing.run.recipe;
  const settings = alone(drawing);
  const files = filesOf(drawing);
  const schedule = settings.mask_schedule;
  const flags = [
    ['--model', settings.model], ['--class', settings.class || undefined], ['--seed', settings.seed],
    ['--cfg', settings.cfg_scale], ['--top-k', settings.top_k], ['--top-p', settings.top_p],
    ['--temperature', settings.temperature], ['--max-scales', settings.max_scales],
    ['--schedule', Array.isArray(schedule) ? JSON.stringify(schedule) : schedule],
    ...(prefix ? [['--from-tokens', files.tokens], ['--scales', prefix.length]] : []),
    ...(edit ? editFlags(edit, files) : []),
    ['--out', edit ? files.out : 'pictures'],
  ];
  const words = flags.filter(([, value]) => value !== undefined).map(([name, value]) => `${name} ${shellWord(String(value))}`);
  const connection = `--server ${shellWord(server)}${tls ? ' --tls' : ''}`;
  return [`hmar ${connection} ${edit ? 'edit' : 'generate'}`, ...words].join(' \\\n  ');
}

const editFlags = ({ region, resize, feather }, files) => [
  ['--image', files.image],
  region.box ? [region.keep ? '--keep-box' : '--box', boxText(region.box)] : ['--mask', files.mask],
  ['--resize', resize], ['--feather', feather],
];

/** A program for the hmar-client package. */
export function pythonProgram(drawing, { server, tls }) {
  const { edit, prefix } = drawing.run.recipe;
  const { class: target, mask_schedule: schedule, seed, ...settings } = alone(drawing);
  const files = filesOf(drawing);
  const named = [
    `seed=${seed}`,
    ...Object.entries({ ...settings, schedule }).filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${name}=${pythonValue(value)}`),
    ...(prefix ? [`prefix=tokens[:${prefix.length}]`] : []),
    ...(edit ? pythonEdit(edit, files) : []),
  ];
  const what = /^\d+$/.test(target) ? target : pythonValue(target);
  const call = edit ? ['edit', pythonValue(files.image), ...(target ? [what] : [])] : ['images', what];
  return [
    ...(prefix ? ['import json', ''] : []),
    'from hmar_client import Client', '',
    `client = Client(${pythonValue(server)}${tls ? ', tls=True' : ''})`,
    ...(prefix ? [`tokens = json.load(open(${pythonValue(files.tokens)}))["images"][0]["scales"]`] : []),
    `image = client.${call[0]}(${[...call.slice(1), ...named].join(', ')})[0]`,
    `open(${pythonValue(files.out)}, "wb").write(image.data)`,
  ].join('\n');
}

const pythonEdit = ({ region, resize, feather }, files) => [
  region.box ? `${region.keep ? 'keep_box' : 'box'}=(${boxText(region.box).replaceAll(',', ', ')})` : `mask=${pythonValue(files.mask)}`,
  ...(resize ? [`resize=${pythonValue(resize)}`] : []),
  ...(feather ? [`feather=${feather}`] : []),
];

/** curl for this page's own API; `origin` as https://host:port. The key, where there is one, comes from $HMAR_KEY. */
export function curlCommand(drawing, { origin, hasKey }) {
  const { recipe } = drawing.run;
  const fields = fieldsOf({ ...recipe, settings: alone(drawing) });
  const files = filesOf(drawing);
  const key = hasKey ? ['-H "authorization: Bearer $HMAR_KEY"'] : [];
  const body = recipe.edit ? formParts(fields, files)
    : ["-H 'content-type: application/json'", `-d ${shellWord(JSON.stringify(fields))}`];
  const url = `${origin}/v1/images/${recipe.edit ? 'edits' : 'generations'}`;
  const curl = [`curl -sS --fail-with-body ${shellWord(url)}`, ...key, ...body].join(' \\\n  ');
  return `${curl} |\n  jq -r '.data[0].b64_json' | base64 -d > ${shellWord(files.out)}`;
}

function formParts(fields, files) {
  const text = ([name, value]) => `--form-string ${shellWord(`${name}=${Array.isArray(value) ? JSON.stringify(value) : value}`)}`;
  const file = (name, path) => `-F ${shellWord(`${name}=@"${path.replace(/["\\]/g, '\\$&')}"`)}`;
  return [...Object.entries(fields).map(text), file('image', files.image), ...(files.mask ? [file('mask_white', files.mask)] : [])];
}
