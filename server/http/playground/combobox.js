// A text field with a list to choose from, as the ARIA Authoring Practices have it: the focus stays in the field.
import { make } from './dom.js';

const MOST_SHOWN = 200;

/** What has the text in it, what begins with it first; all of it for no text. A number finds the class of that number. */
export function matching(options, text) {
  const wanted = text.trim().toLowerCase();
  if (wanted === '') return options;
  const number = /^\d+$/.test(wanted) ? options[Number(wanted)] : undefined;
  const begins = options.filter((option) => option.toLowerCase().startsWith(wanted));
  const has = options.filter((option) => option.toLowerCase().includes(wanted));
  return [...new Set([...(number === undefined ? [] : [number]), ...begins, ...has])];
}

/** Makes a combobox of an input and the list that its aria-controls names. The value is the input's; `options` may be set again. */
export class Combobox {
  #input;
  #list;
  #active = -1;

  constructor(input) {
    this.options = [];
    this.#input = input;
    this.#list = document.getElementById(input.getAttribute('aria-controls'));
    input.addEventListener('focus', () => input.select());
    input.addEventListener('click', () => this.#open(''));
    input.addEventListener('input', () => this.#open(input.value));
    input.addEventListener('blur', () => this.#close());
    input.addEventListener('keydown', (event) => this.#key(event));
    this.#list.addEventListener('pointerdown', (event) => event.preventDefault());  // Keeps the focus in the field.
    this.#list.addEventListener('click', (event) => {
      const option = event.target.closest('[role=option]');
      if (option) this.#choose(option);
    });
  }

  #open(text) {
    const found = matching(this.options, text);
    const items = found.slice(0, MOST_SHOWN).map((name, i) => make('li', {
      role: 'option', id: `${this.#list.id}-${i}`, 'aria-selected': String(name === this.#input.value),
    }, name));
    if (found.length > MOST_SHOWN) {
      items.push(make('li', { role: 'presentation', className: 'quiet' }, `${found.length - MOST_SHOWN} more: go on typing`));
    }
    if (found.length === 0) items.push(make('li', { role: 'presentation', className: 'quiet' }, 'No such class'));
    this.#list.replaceChildren(...items);
    this.#list.hidden = this.options.length === 0;
    this.#input.setAttribute('aria-expanded', String(!this.#list.hidden));
    this.#activate(text === '' ? found.indexOf(this.#input.value) : -1);
  }

  #close() {
    this.#list.hidden = true;
    this.#input.setAttribute('aria-expanded', 'false');
    this.#activate(-1);
  }

  #activate(index) {
    const options = this.#list.querySelectorAll('[role=option]');
    options[this.#active]?.classList.remove('active');
    this.#active = index;
    const option = options[index];
    if (!option) return this.#input.removeAttribute('aria-activedescendant');
    option.classList.add('active');
    option.scrollIntoView({ block: 'nearest' });
    return this.#input.setAttribute('aria-activedescendant', option.id);
  }

  #choose(option) {
    this.#input.value = option.textContent;
    this.#close();
    this.#input.dispatchEvent(new Event('change', { bubbles: true }));
  }

  #move(by) {
    if (this.#list.hidden) return this.#open('');
    const count = this.#list.querySelectorAll('[role=option]').length;
    if (count === 0) return undefined;
    const from = this.#active < 0 && by < 0 ? 0 : this.#active;
    return this.#activate((from + by + count) % count);
  }

  #key(event) {
    const open = !this.#list.hidden;
    const active = this.#list.querySelector('.active');
    if (event.key === 'ArrowDown') this.#move(1);
    else if (event.key === 'ArrowUp') this.#move(-1);
    else if (event.key === 'Enter' && open && active) this.#choose(active);
    else if (event.key === 'Escape' && open) this.#close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
