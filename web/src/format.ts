// Numbers as people read them.
import type { Texts } from './texts';

export function duration(seconds: number, t: Texts): string {
  const whole = Math.max(0, Math.round(seconds));
  if (seconds > 0 && seconds < 0.95) return t.seconds('<1');
  if (whole < 60) return t.seconds(String(whole));
  return t.minutes(Math.floor(whole / 60), whole % 60);
}

export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  let value = count;
  let unit = '';
  for (unit of ['KB', 'MB', 'GB', 'TB']) {
    value /= 1000;
    if (value < 999.5) break;
  }
  return `${value < 9.95 ? value.toFixed(1) : value.toFixed(0)} ${unit}`;
}

export function count(value: number): string {
  return value.toLocaleString('en-US');
}

export function large(value: number): string {
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} B`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  return count(value);
}

export function rate(value: number): string {
  return value >= 100 ? count(Math.round(value)) : value.toFixed(1);
}

export type Age = 'today' | 'yesterday' | 'week' | 'earlier';

export function age(time: number, now: Date): Age {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime() / 1000;
  if (time >= midnight) return 'today';
  if (time >= midnight - 86_400) return 'yesterday';
  if (time >= midnight - 7 * 86_400) return 'week';
  return 'earlier';
}
