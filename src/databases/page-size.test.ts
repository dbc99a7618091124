import { expect, it } from 'vitest';
import { PageSize } from './page-size.ts';

const rows = (count: number, characters: number) =>
  Array.from({ length: count }, () => ({ value: 'x'.repeat(characters) }));

function pages(size: PageSize, characters: number, count: number): number[] {
  return Array.from({ length: count }, () => {
    const asked = size.rows;
    size.took(rows(asked, characters));
    return asked;
  });
}

it('grows to the most rows within three pages where rows are small', () => {
  expect(pages(new PageSize(1000), 100, 4)).toEqual([16, 128, 1000, 1000]);
});

it('stays at about 8 MiB where rows are large', () => {
  expect(pages(new PageSize(1000), 450_000, 3)).toEqual([16, 18, 18]);
  expect(pages(new PageSize(1000), 20_000_000, 2)).toEqual([16, 1]);
});

it('shrinks at once when rows become large, and grows slowly when they become small', () => {
  const size = new PageSize(1000);
  pages(size, 10, 3);
  size.took(rows(10, 1_000_000));
  expect(size.rows).toBe(8);
  size.took(rows(8, 10));
  expect(size.rows).toBe(16);
});

it('never asks for more than it may, nor for none', () => {
  expect(pages(new PageSize(5), 10, 2)).toEqual([5, 5]);
  expect(pages(new PageSize(0), 10, 1)).toEqual([1]);
});

it('knows a full page by its rows and by its bytes', () => {
  const size = new PageSize(10);
  expect(size.isFull(9, 1000)).toBe(false);
  expect(size.isFull(10, 1000)).toBe(true);
  expect(size.isFull(1, 8 * 1024 * 1024)).toBe(true);
});
