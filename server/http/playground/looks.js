// Theme and pixels: what this browser's user likes, kept in this browser.
import { byId } from './dom.js';

const stored = {
  get(name) { try { return localStorage.getItem(name); } catch { return null; } },
  set(name, value) { try { localStorage.setItem(name, value); } catch { /* Private windows may have none. */ } },
};

function setTheme(theme) {
  const { dataset } = document.documentElement;
  if (theme === 'auto') delete dataset.theme;
  else dataset.theme = theme;
}

function setCrisp(crisp) {
  byId('pixels').setAttribute('aria-pressed', String(crisp));
  document.documentElement.classList.toggle('smooth', !crisp);
}

/** Brings back what was chosen before, and lets it be chosen. */
export function setUpLooks() {
  const theme = byId('theme');
  theme.value = stored.get('hmar-theme') ?? 'auto';
  setTheme(theme.value);
  theme.onchange = () => {
    setTheme(theme.value);
    stored.set('hmar-theme', theme.value);
  };
  setCrisp(stored.get('hmar-smooth') === null);
  byId('pixels').onclick = () => {
    const crisp = byId('pixels').getAttribute('aria-pressed') === 'false';
    setCrisp(crisp);
    if (crisp) localStorage.removeItem('hmar-smooth');
    else stored.set('hmar-smooth', 'yes');
  };
}
