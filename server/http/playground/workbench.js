// The dialog around one picture: edit it, branch off it, see how it was made.
import { byId } from './dom.js';
import { BranchPanel } from './branch_panel.js';
import { showCommands } from './commands_panel.js';
import { EditPanel } from './edit_panel.js';
import { showReceipt } from './receipt_panel.js';
import { RegionEditor } from './region_editor.js';
import { RunView } from './run_view.js';
import { Stage } from './stage.js';
import { Tabs } from './tabs.js';

/**
 * `site`: modelOf(name), currentSettings(), start(recipe) which returns a Run, hasKey().
 */
export class Workbench {
  #dialog = byId('workbench');
  #site;
  #stage = new Stage((drawing) => this.openDrawing(drawing));
  #tabs = new Tabs(byId('tabs'), () => this.#tabChanged());
  #branch = new BranchPanel((keep) => this.#stage.showSource(keep - 1), (recipe) => this.#start(recipe));
  #edit;
  #views = [];
  #subject = null;

  constructor(site) {
    this.#site = site;
    const editor = new RegionEditor(byId('region'), byId('brush-cursor'));
    this.#edit = new EditPanel(editor, () => this.#stage.showSource(), (recipe) => this.#start(recipe));
    byId('close').onclick = () => this.#dialog.close();
    this.#dialog.addEventListener('close', () => byId('bench-runs').replaceChildren());
  }

  /** Opens a finished Drawing. */
  openDrawing(drawing) {
    const { settings } = drawing.run.recipe;
    this.#open({ drawing, picture: drawing.picture, title: drawing.title }, this.#site.modelOf(settings.model), settings);
  }

  /** Opens an upload, a Picture, to edit it with the model and settings that are chosen. */
  openUpload(picture) {
    const settings = this.#site.currentSettings();
    this.#open({ drawing: null, picture, title: picture.name }, this.#site.modelOf(settings.model), settings);
  }

  #open(subject, model, settings) {
    this.#subject = { ...subject, model };
    this.#views = [];
    byId('bench-runs').replaceChildren();
    byId('workbench-title').textContent = subject.title;
    Object.assign(byId('download'), { href: subject.picture.url, download: subject.picture.name });
    this.#stage.load(subject);
    this.#edit.open(subject.picture, model, settings);
    this.#showPanels();
    if (!this.#dialog.open) this.#dialog.showModal();
    byId('workbench-title').focus();
    this.#dialog.scrollTop = 0;
  }

  #showPanels() {
    const { drawing, model } = this.#subject;
    const canBranch = drawing !== null && BranchPanel.canBranch(drawing, model);
    byId('tab-branch').hidden = !canBranch;
    byId('tab-receipt').hidden = drawing === null;
    byId('tab-commands').hidden = drawing === null;
    if (canBranch) this.#branch.open(drawing, model);
    if (drawing) {
      showReceipt(byId('panel-receipt'), drawing, model.patch_nums);
      showCommands(byId('panel-commands'), drawing, this.#site.hasKey());
    }
    this.#tabs.choose('tab-edit');
  }

  #tabChanged() {
    this.#stage.setEditable(this.#tabs.chosen === 'tab-edit');
    this.#stage.showSource(this.#tabs.chosen === 'tab-branch' ? this.#branch.keep - 1 : null);
  }

  /** Runs what a form asks for; its first picture takes the stage while it grows. */
  #start(recipe) {
    const run = this.#site.start(recipe);
    const subject = this.#subject;
    let shown = run.drawings[0];
    const view = new RunView(run, {
      open: (drawing) => {
        shown = drawing;
        this.#stage.showResult(drawing);
      },
      again: () => this.#start(recipe),
    });
    this.#views.push(view);
    byId('bench-runs').prepend(view.element);
    this.#stage.showResult(shown);
    run.addEventListener('change', (event) => {
      if (this.#subject === subject && event.drawing === shown) this.#stage.resultChanged(shown);
    });
  }
}
