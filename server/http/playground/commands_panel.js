// The commands that make a picture again, to copy, with the files that they need.
import { copyButton, make } from './dom.js';
import { curlCommand, filesOf, hmarCommand, pythonProgram, tokensFile } from './commands.js';

const ADDRESS = 'hmar-grpc-address';
const urls = [];  // Of the files that are on offer.

/** Fills the panel for a drawing. `hasKey`: whether the server asked for one. */
export function showCommands(panel, drawing, hasKey) {
  for (const url of urls.splice(0)) URL.revokeObjectURL(url);
  const address = make('input', {
    id: 'grpc-address', value: sessionStorage.getItem(ADDRESS) ?? `${location.hostname}:50051`, spellcheck: false, autocomplete: 'off',
  });
  const blocks = make('div');
  const update = () => {
    const grpc = { server: address.value.trim(), tls: location.protocol === 'https:' };
    blocks.replaceChildren(
      block('hmar', hmarCommand(drawing, grpc)), block('Python', pythonProgram(drawing, grpc)),
      block('curl', curlCommand(drawing, { origin: location.origin, hasKey })));
  };
  address.oninput = () => {
    sessionStorage.setItem(ADDRESS, address.value);
    update();
  };
  update();
  panel.replaceChildren(
    make('p', { className: 'quiet' }, 'Each of these makes this picture again, byte for byte.',
      hasKey ? ' They take the key from the environment: HMAR_KEY.' : ''),
    make('div', { className: 'field' }, make('label', { htmlFor: 'grpc-address' }, 'The server’s gRPC address'), address),
    fileList(drawing), blocks);
}

function block(name, text) {
  return make('div', { className: 'code' }, make('h3', {}, name), copyButton(() => text, `the ${name} command`),
    make('pre', { tabindex: 0, 'aria-label': `${name} command`, 'data-command': name }, text));
}

/** Links to the files that the commands read; nothing where they read none. */
function fileList(drawing) {
  const { edit, parent } = drawing.run.recipe;
  const files = filesOf(drawing);
  const offers = [
    ...(edit ? [[edit.source.name, edit.source.blob]] : []),
    ...(files.mask ? [[files.mask, edit.region.mask]] : []),
    ...(parent ? [[files.tokens, new Blob([tokensFile(parent)], { type: 'application/json' })]] : []),
  ];
  if (offers.length === 0) return '';
  const links = offers.map(([name, blob]) => {
    urls.push(URL.createObjectURL(blob));
    return make('a', { className: 'button', href: urls.at(-1), download: name }, name);
  });
  return make('p', { className: 'row' }, 'They read: ', ...links);
}
