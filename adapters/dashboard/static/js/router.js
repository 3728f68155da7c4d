// Which page a path is of.

// match finds the page of a path among routes, and what stands for its :names.
export function match(pages, path) {
  for (const page of pages) {
    const wanted = page.path.split('/');
    const given = path.replace(/\/+$/, '').split('/');
    if (path === '/' && page.path === '/') return { page, params: {} };
    if (wanted.length !== given.length || page.path === '/') continue;
    const params = {};
    const fits = wanted.every((part, i) => {
      if (!part.startsWith(':')) return part === given[i];
      params[part.slice(1)] = decodeURIComponent(given[i]);
      return given[i] !== '';
    });
    if (fits) return { page, params };
  }
  return null;
}
