// Asks for the key that a server wants.
import { byId } from './dom.js';
import { sentence } from './sentences.js';

let asking = null;  // One question at a time, whoever waits for the answer.

/** Resolves to the key that the user gives after this 401, or to null. */
export function askForKey(error) {
  asking ??= ask(error).finally(() => { asking = null; });
  return asking;
}

function ask(error) {
  const [dialog, form, value] = [byId('key'), byId('key-form'), byId('key-value')];
  byId('key-message').textContent = error.reason === 'KEY_MISSING' ? 'Who runs it can give you one.' : sentence(error.message);
  value.value = '';
  return new Promise((resolve) => {
    let key = null;
    form.onsubmit = (event) => {
      event.preventDefault();
      key = value.value.trim();
      dialog.close();
    };
    byId('key-cancel').onclick = () => dialog.close();
    dialog.onclose = () => {
      value.value = '';
      resolve(key || null);
    };
    dialog.showModal();
    value.focus();
  });
}
