import { expect, test } from 'vitest';
import { librariesIn } from './program-layers.ts';

test('libraries and the loader, of glibc and of musl', () => {
  expect(
    librariesIn(`\tlinux-vdso.so.1 (0x00007f4df66dc000)
\tlibdl.so.2 => /lib/x86_64-linux-gnu/libdl.so.2 (0x00007f4df66c6000)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f4df613e000)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f4df66de000)
`),
  ).toEqual({
    loader: '/lib64/ld-linux-x86-64.so.2',
    libraries: [
      '/lib/x86_64-linux-gnu/libdl.so.2',
      '/lib/x86_64-linux-gnu/libc.so.6',
      '/lib64/ld-linux-x86-64.so.2',
    ],
  });
  expect(
    librariesIn(`\t/lib/ld-musl-x86_64.so.1 (0x7f0)
\tlibstdc++.so.6 => /usr/lib/libstdc++.so.6 (0x7f0)
\tlibc.musl-x86_64.so.1 => /lib/ld-musl-x86_64.so.1 (0x7f0)
`),
  ).toEqual({
    loader: '/lib/ld-musl-x86_64.so.1',
    libraries: ['/lib/ld-musl-x86_64.so.1', '/usr/lib/libstdc++.so.6'],
  });
  expect(librariesIn('')).toEqual({ loader: undefined, libraries: [] });
  expect(() => librariesIn('\tlibatomic.so.1 => not found\n')).toThrow('libatomic.so.1');
});
