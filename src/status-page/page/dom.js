// @ts-check
// Small pieces of DOM. What a proxy reports becomes text and attributes, never markup.

/**
 * @param {string} name
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} children
 * @returns {HTMLElement}
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

/** @param {string} id */
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`no element #${id}`);
  return found;
}

/**
 * Writes only what has changed, so that a selection and a screen reader's place stay.
 * @param {Element} target
 * @param {string} text
 */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * @param {Element} target
 * @param {string} name
 * @param {string | null} value null: none
 */
export function setAttribute(target, name, value) {
  if (value === null) target.removeAttribute(name);
  else if (target.getAttribute(name) !== value) target.setAttribute(name, value);
}

/**
 * Has `parent` show these, in this order; what stays is not touched, so that the focus stays, too.
 * @template T
 * @param {Element} parent
 * @param {readonly T[]} items
 * @param {Map<string, HTMLElement>} known the elements so far, by key
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => HTMLElement} make
 */
export function showList(parent, items, known, keyOf, make) {
  const keys = new Set(items.map(keyOf));
  for (const [key, old] of known) {
    if (keys.has(key)) continue;
    old.remove();
    known.delete(key);
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const shown = known.get(key) ?? make(item);
    known.set(key, shown);
    if (shown === place) place = place.nextElementSibling;
    else parent.insertBefore(shown, place);
  }
}
