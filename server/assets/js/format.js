// Formats numbers, sizes, times and durations.

import { h } from './dom.js';
import { texts } from './texts.js';

const language = document.documentElement.lang || 'en';
const numbers = new Intl.NumberFormat(language);
const decimals = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
const dates = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' });
const exactDates = new Intl.DateTimeFormat(language, { dateStyle: 'full', timeStyle: 'long' });

/**
 * 48211 → "48,211".
 * @param {number} value
 */
export const number = (value) => numbers.format(value);

/**
 * Bytes in the unit that fits: "500 KB".
 * @param {number} bytes
 */
export function size(bytes) {
  if (bytes < 1000) return `${number(bytes)} B`;
  const units = ['KB', 'MB', 'GB', 'TB'];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${decimals.format(value)} ${units[unit]}`;
}

/**
 * Bytes in the binary unit that fits, as settings are written: "2 GiB".
 * @param {number} bytes
 */
export function binarySize(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${decimals.format(value)} ${units[unit]}`;
}

/**
 * Seconds as an exact period: "7 days", "2 hours", "90 minutes".
 * @param {number} seconds
 */
export function period(seconds) {
  /** @type {[unit: string, length: number][]} */
  const units = [
    ['day', 86_400],
    ['hour', 3600],
    ['minute', 60],
  ];
  const [unit, length] = units.find(([, length]) => seconds >= length && seconds % length === 0) ?? ['second', 1];
  return new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'long' }).format(seconds / length);
}

/**
 * Seconds as a rough duration: "about 2 minutes".
 * @param {number} seconds
 */
export function duration(seconds) {
  if (seconds < 2) return texts.time.now;
  if (seconds < 90) return texts.time.seconds({ count: Math.round(seconds) });
  if (seconds < 5400) return texts.time.minutes({ count: Math.round(seconds / 60) });
  return texts.time.hours({ count: Math.round(seconds / 3600) });
}

/**
 * Rows per second: whole numbers, except for slow work.
 * @param {number} value
 */
export const rate = (value) => (value < 10 ? decimals.format(value) : number(Math.round(value)));

/**
 * A point in time as text in the reader's zone.
 * @param {string} value
 */
export function dateText(value) {
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? String(value) : dates.format(date);
}

/**
 * A point in time in the reader's zone; hovering shows it to the second, with its zone.
 * @param {string} value
 */
export function time(value) {
  const date = new Date(value);
  if (Number.isNaN(date.getTime())) return h('span', {}, String(value));
  return h('time', { datetime: date.toISOString(), title: exactDates.format(date) }, dates.format(date));
}
