// Elements without HTML: whatever a server says arrives as text nodes.

/** The element of this id, which index.html has. */
export const byId = (id) => document.getElementById(id);

/**
 * A new element. Names in `properties` that the element knows as properties (`className`, `onclick`) are set as such, others
 * as attributes (`role`, `aria-label`); null, undefined and false leave them out. Children may be nodes or strings.
 */
export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name in node) node[name] = value;
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children);
  return node;
}

/** Says it to who listens: a live region, the open dialog's own since all else is inert then. */
export function announce(text) {
  byId(byId('workbench').open ? 'bench-announcer' : 'announcer').textContent = text;
}

/** A button that copies what `text()` returns, and says so. */
export function copyButton(text, what) {
  const button = make('button', { type: 'button', className: 'plain', 'aria-label': `Copy ${what}` }, 'Copy');
  button.onclick = async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = 'Copied';
      announce(`Copied ${what}.`);
    } catch {  // Browsers give the clipboard to secure pages alone: https, or this machine.
      button.textContent = 'Select and copy it by hand';
    }
    setTimeout(() => { button.textContent = 'Copy'; }, 2000);
  };
  return button;
}
