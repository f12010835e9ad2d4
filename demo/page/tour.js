// @ts-check
/** Marks what has been seen, and opens the next step. */
import { byId, make, within } from './dom.js';

/** The step that was current when the tour was last shown; -1: none yet. */
let current = -1;

/** @param {Record<string, string>} seen the goals, with what has shown them */
export function showTour(seen) {
  const steps = [...byId('tour').querySelectorAll('details')];
  for (const step of steps) {
    for (const goal of goalsOf(step)) mark(goal, seen[goal.dataset.goal ?? '']);
    const done = goalsOf(step).every(isSeen);
    step.classList.toggle('done', done);
  }
  const next = steps.findIndex((step) => !step.classList.contains('done'));
  const now = next === -1 ? steps.length : next;
  if (now !== current) moveTo(now, steps);
}

/**
 * @param {number} now
 * @param {HTMLDetailsElement[]} steps
 */
function moveTo(now, steps) {
  const step = steps[now];
  steps.forEach((other, i) => {
    other.ariaCurrent = other === step ? 'step' : null;
    other.open = i === now || i === now - 1; // what has just been seen stays in view
  });
  if (current !== -1 && now > current) {
    const next = step === undefined ? 'The tour is over.' : `Next: ${title(step)}`;
    byId('told').textContent = `Step ${now} is done. ${next}`;
  }
  byId('toured').hidden = step !== undefined;
  current = now;
}

/** @param {Element} step */
function title(step) {
  return within(step, 'summary').textContent ?? '';
}

/**
 * @param {Element} step
 * @returns {HTMLElement[]}
 */
function goalsOf(step) {
  return [...step.querySelectorAll('li')];
}

/** @param {HTMLElement} goal */
function isSeen(goal) {
  return goal.classList.contains('seen');
}

/**
 * @param {HTMLElement} goal
 * @param {string | undefined} evidence
 */
function mark(goal, evidence) {
  if (isSeen(goal) === (evidence !== undefined)) return;
  goal.classList.toggle('seen', evidence !== undefined);
  goal.querySelector('.evidence')?.remove();
  if (evidence !== undefined) goal.append(make('span', 'evidence', `Seen: ${evidence}`));
}
