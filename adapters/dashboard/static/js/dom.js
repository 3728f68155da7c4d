// How a page gets onto the screen: a view is a pure function from answers to a tree of plain values, and patch makes
// the document look like it, changing only what differs. Text is always text: nothing here parses HTML.

const SVG = 'http://www.w3.org/2000/svg';

// h makes an element: h('a', {href: '/jobs'}, 'Jobs'). Children are elements, text, numbers, BigInts, arrays of them, or
// nothing (null, undefined, false). Properties: attributes by name; on… are listeners; key tells siblings apart;
// widget is {make(element) → {set(spec), end()}, spec} and owns what is inside its element.
export function h(tag, props, ...children) {
  return { tag, props: props ?? {}, children: children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false && c !== true) };
}

// patch makes parent's children what nodes say.
export function patch(parent, nodes) {
  const wanted = [nodes].flat(Infinity).filter((n) => n !== null && n !== undefined && n !== false && n !== true);
  const keyed = new Map();
  for (const child of parent.childNodes) if (child.filatureKey !== undefined) keyed.set(child.filatureKey, child);
  let at = parent.firstChild;
  for (const node of wanted) {
    const key = node.props?.key;
    let child = key === undefined ? at : keyed.get(key);
    while (key === undefined && child && child.filatureKey !== undefined) child = child.nextSibling;
    if (!child || !same(child, node)) child = create(node, parent);
    if (child === at) at = at.nextSibling;
    else parent.insertBefore(child, at);
    update(child, node);
  }
  while (at) {
    const next = at.nextSibling;
    end(at);
    at.remove();
    at = next;
  }
}

const isElement = (node) => typeof node === 'object';

function same(child, node) {
  if (!isElement(node)) return child.nodeType === Node.TEXT_NODE;
  return child.filatureTag === node.tag && Boolean(child.filatureWidget) === Boolean(node.props.widget);
}

function create(node, parent) {
  if (!isElement(node)) return document.createTextNode(String(node));
  const inSVG = node.tag === 'svg' || (parent.namespaceURI === SVG && parent.tagName !== 'foreignObject');
  const element = inSVG ? document.createElementNS(SVG, node.tag) : document.createElement(node.tag);
  element.filatureTag = node.tag;
  element.filatureProps = {};
  return element;
}

function update(child, node) {
  if (!isElement(node)) {
    if (child.data !== String(node)) child.data = String(node);
    return;
  }
  const { key, widget, ...props } = node.props;
  child.filatureKey = key;
  for (const name of Object.keys(child.filatureProps)) if (!(name in props)) set(child, name, null);
  for (const [name, value] of Object.entries(props)) if (child.filatureProps[name] !== value) set(child, name, value);
  child.filatureProps = props;
  if (widget) {
    child.filatureWidget ??= widget.make(child);
    child.filatureWidget.set(widget.spec);
  } else {
    patch(child, node.children);
  }
}

function set(element, name, value) {
  if (name.startsWith('on')) element[name] = value;
  else if (name === 'style') for (const [property, v] of Object.entries(value ?? {})) element.style.setProperty(property, v);
  else if (name === 'value') element.value = value ?? '';
  else if (name === 'selected') element.selected = Boolean(value); // what was chosen by hand no longer heeds the attribute
  else if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? '' : value);
}

// end tells the widgets below that they are going.
function end(node) {
  node.filatureWidget?.end();
  for (const child of node.childNodes) end(child);
}
