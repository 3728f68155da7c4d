// Lines over time, drawn by uPlot. Figures that are drawn are rounded to what a pixel shows; who wants them exactly reads
// the table beside.
import uPlot from '../thirdparty/uplot/uPlot.esm.js';
import { h } from './dom.js';
import { compact } from './words.js';

const height = 200;

// plot draws series over the same times: {label, times (Unix milliseconds), series: [{name, values, exact, tone, bars, stepped, fill,
// dash}], unit, format, whole, empty}. Where a value is null nothing was known, and the line goes past it; what is stepped stands
// until it changes. The label is its text for who can't see it; whole is for what has no halves; empty stands where there is nothing to draw.
export function plot(spec) {
  return h('figure', { class: 'plot' },
    h('figcaption', {}, spec.series.filter((s) => s.name).map((s) => h('span', { key: s.name, class: `key ${s.tone ?? 'accent'}${s.dash ? ' dashed' : ''}` }, s.name)), spec.unit && h('span', { class: 'soft' }, spec.unit)),
    // Which of both it is follows from the data; the room is the same.
    spec.series.some((s) => s.values.some((v) => v))
      ? h('div', { key: 'canvas', class: 'canvas', role: 'img', 'aria-label': `${spec.label}. ${spec.series.filter((s) => s.name).map((s) => spoken(s, spec)).join(' ')}`, widget: { make: drawn, spec } })
      : h('p', { key: 'none', class: 'canvas none soft' }, spec.empty ?? 'Nothing in this time.'));
}

// spoken is a series in a sentence: its last value and its highest one.
function spoken({ name, values, exact }, { times, format = compact }) {
  const last = values.findLastIndex((v) => v !== null);
  if (last < 0) return `${name}: nothing.`;
  const most = values.reduce((best, v, i) => (v !== null && v > values[best] ? i : best), last);
  const said = (i) => `${exact?.[i] ?? format(values[i])} at ${new Date(times[i]).toISOString().slice(5, 16).replace('T', ' ')}`;
  return `${name}: ${said(last)}${most === last ? '' : `, at most ${said(most)}`}.`;
}

function drawn(element) {
  let chart, last;
  const width = () => Math.max(200, element.clientWidth);
  const draw = () => {
    chart?.destroy();
    chart = last.times.length ? new uPlot(options(last, width(), element), columns(last), element) : undefined;
  };
  const sized = new ResizeObserver(() => chart?.setSize({ width: width(), height }));
  sized.observe(element);
  document.addEventListener('themechange', draw);
  const dark = matchMedia('(prefers-color-scheme: dark)');
  dark.addEventListener('change', draw);
  return {
    set(spec) {
      const again = chart && last && last.series.length === spec.series.length && last.series.every((s, i) => s.name === spec.series[i].name);
      last = spec;
      if (again) chart.setData(columns(spec));
      else draw();
    },
    end() {
      chart?.destroy();
      sized.disconnect();
      document.removeEventListener('themechange', draw);
      dark.removeEventListener('change', draw);
    },
  };
}

// A bar of nothing is no bar.
const columns = (spec) => [spec.times.map((ms) => ms / 1000), ...spec.series.map((s) => (s.bars ? s.values.map((v) => v || null) : s.values))];

function options(spec, width, element) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const format = spec.format ?? compact;
  const font = `11px ${style.fontFamily}`;
  const axis = { stroke: colour('soft'), font, grid: { stroke: colour('line'), width: 1 }, ticks: { show: false } };
  return {
    width, height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'UTC'),
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    padding: [8, 20, 0, 0], // room for half a label of the axis
    scales: { x: { range: (_, low, high) => (spec.series.some((s) => s.bars) ? [low - step(spec) / 2, high + step(spec) / 2] : [low, high]) }, y: { range: (_, low, high) => [0, (high || 1) * 1.1] } },
    axes: [
      { ...axis, grid: { show: false }, size: 28, space: 70, values: (_, at) => at.map((s, i) => label(s, i > 0 ? at[i - 1] : undefined)) },
      { ...axis, size: 56, values: (_, at) => at.map(format), ...(spec.whole && { incrs: whole }) },
    ],
    series: [{}, ...spec.series.map((s) => ({
      label: s.name, stroke: colour(s.tone ?? 'accent'), width: 1.5, dash: s.dash, spanGaps: true,
      fill: s.bars ? colour(s.tone ?? 'accent') : s.fill ? colour(`${s.tone ?? 'accent'}-wash`) : undefined,
      paths: s.bars ? uPlot.paths.bars({ size: [0.7, 40], radius: 0.08 }) : s.stepped ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.linear(),
      // Few points make no line: each is shown.
      points: { show: !s.bars && !s.stepped && s.values.filter((v) => v !== null).length <= 24, size: 5, fill: colour(s.tone ?? 'accent') },
    }))],
    plugins: [tip(spec, format)],
  };
}

// whole are the steps of an axis that counts things, of which there is no half.
const whole = Array.from({ length: 13 }, (_, i) => [1, 2, 5].map((n) => n * 10 ** i)).flat();

// step is the time between two bars, in seconds.
const step = (spec) => (spec.times.length > 1 ? (spec.times[1] - spec.times[0]) / 1000 : 3600);

const pad = (n) => String(n).padStart(2, '0');

// label names a time of the axis, and its day where a new one begins.
function label(seconds, before) {
  const d = new Date(seconds * 1000);
  const date = `${pad(d.getUTCMonth() + 1)}-${pad(d.getUTCDate())}`;
  if (before === undefined || new Date(before * 1000).getUTCDate() !== d.getUTCDate()) return date + (d.getUTCHours() || d.getUTCMinutes() ? ` ${pad(d.getUTCHours())}:${pad(d.getUTCMinutes())}` : '');
  return `${pad(d.getUTCHours())}:${pad(d.getUTCMinutes())}${d.getUTCSeconds() ? `:${pad(d.getUTCSeconds())}` : ''}`;
}

// tip says the values under the pointer.
function tip(spec, format) {
  let box;
  return {
    hooks: {
      init: (u) => {
        box = document.createElement('div');
        box.className = 'tip';
        u.over.append(box);
        u.over.addEventListener('mouseleave', () => box.classList.remove('shown'));
      },
      setCursor: (u) => {
        const { idx, left } = u.cursor;
        box.classList.toggle('shown', idx !== null && idx !== undefined && left >= 0);
        if (idx === null || idx === undefined || left < 0) return;
        const at = new Date(u.data[0][idx] * 1000).toISOString().replace('T', ' ').slice(0, 16);
        box.textContent = [`${at} UTC`, ...spec.series.map((s, i) => !s.name ? '' : `${s.name} ${(s.exact?.[idx]) ?? (u.data[i + 1][idx] === null ? (s.bars ? '0' : '–') : format(u.data[i + 1][idx]))}`)].filter(Boolean).join('\n');
        const x = u.valToPos(u.data[0][idx], 'x');
        box.style.setProperty('--x', `${Math.min(x, u.over.clientWidth - box.offsetWidth - 8)}px`);
      },
    },
  };
}
