// Tabs, as the ARIA Authoring Practices have them: arrows move and choose, one tab is in the order of the Tab key.

/** Binds a tablist; `onChange(id)` gets the id of the tab that was chosen. Hidden tabs cannot be chosen. */
export class Tabs {
  #list;
  #onChange;

  constructor(list, onChange) {
    this.#list = list;
    this.#onChange = onChange;
    list.addEventListener('click', (event) => {
      const tab = event.target.closest('[role=tab]');
      if (tab) this.choose(tab.id);
    });
    list.addEventListener('keydown', (event) => this.#key(event));
  }

  /** The id of the chosen tab. */
  get chosen() {
    return this.#list.querySelector('[aria-selected=true]').id;
  }

  choose(id) {
    for (const tab of this.#list.querySelectorAll('[role=tab]')) {
      const chosen = tab.id === id;
      tab.setAttribute('aria-selected', String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      document.getElementById(tab.getAttribute('aria-controls')).hidden = !chosen;
    }
    this.#onChange(id);
  }

  #key(event) {
    const tabs = [...this.#list.querySelectorAll('[role=tab]:not([hidden])')];
    const at = tabs.findIndex((tab) => tab.id === this.chosen);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const tab = tabs.at(to % tabs.length);
    this.choose(tab.id);
    tab.focus();
  }
}
