// The few drawings, on a grid of 24, in the colour of the text around them. They say nothing that words do not say.
import { h } from './dom.js';

const paths = {
  mark: 'M12 3c3 0 5.500 4 5.500 9s-2.500 9-5.500 9-5.500-4-5.500-9S9 3 12 3zM7.200 8.200c3 2 6.600 2 9.600 0M6.500 12c3.400 2.200 7.600 2.200 11 0M7.200 15.800c3 2 6.600 2 9.600 0',
  overview: 'M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-3H4zM14 7h6V4h-6z',
  jobs: 'M4 6h16M4 12h16M4 18h10',
  market: 'M4 19V5M4 19h16M7 15l4-5 3 3 6-7',
  providers: 'M5 4h14v6H5zM5 14h14v6H5zM8.500 7h.01M8.500 17h.01',
  clients: 'M12 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.500 21c.5-4 3.500-6 7.500-6s7 2 7.500 6',
  batches: 'M12 3l8 4-8 4-8-4zM4 12l8 4 8-4M4 17l8 4 8-4',
  network: 'M12 8a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5zM5.500 21a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5zM18.500 21a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5zM11 8l-4.500 8.500M13 8l4.500 8.500M8 18.500h8',
  audit: 'M12 3l7.500 3v5.500c0 4.500-3 8-7.500 9.500-4.500-1.500-7.500-5-7.500-9.500V6zM8.500 12l2.500 2.500 4.500-5',
  find: 'M10.500 17a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13zM15.500 15.500L20 20',
  menu: 'M4 7h16M4 12h16M4 17h16',
  close: 'M6 6l12 12M18 6L6 18',
  auto: 'M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18',
  light: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.500 1.500M17.500 17.500L19 19M5 19l1.500-1.500M17.500 6.500L19 5',
  dark: 'M20 14.500A8.500 8.500 0 0 1 9.500 4 8.500 8.500 0 1 0 20 14.500z',
  leave: 'M14 4h5v16h-5M10 8l-4 4 4 4M6 12h9',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  done: 'M5 12.500l4.500 4.500L19 7',
  paper: 'M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6',
  out: 'M8 16L17 7M9 7h8v8',
};

export const icon = (name) => h('svg', {
  viewBox: '0 0 24 24', class: `icon icon-${name}`, fill: 'none', stroke: 'currentColor', 'stroke-width': '1.75',
  'stroke-linecap': 'round', 'stroke-linejoin': 'round', 'aria-hidden': 'true', focusable: 'false',
}, h('path', { d: paths[name] }));
