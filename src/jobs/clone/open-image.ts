/** Finds the image that a user names: in the store of artifacts, in another folder, in a tar file, or in a registry. */

import { existsSync } from 'node:fs';
import { LongshoreError } from '../../errors.ts';
import { readDockerTar } from '../../platforms/oci/docker-tar.ts';
import type { Descriptor, Image } from '../../platforms/oci/image.ts';
import { ImageLayout } from '../../platforms/oci/image-layout.ts';
import { parseImageReference, withTag } from '../../platforms/oci/reference.ts';
import { Registry } from '../../platforms/oci/registry.ts';

export const DEFAULT_STORE = '.longshore/artifacts';

export interface ImageEnvironment {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
  /** A folder that is an OCI image layout; `.longshore/artifacts`. */
  readonly store?: string | undefined;
  /** Lets registries be spoken to without TLS. */
  readonly plainHttp?: boolean | undefined;
}

export interface OpenedImage extends AsyncDisposable {
  readonly image: Image;
  readonly place: 'store' | 'folder' | 'file' | 'registry';
}

/**
 * @param reference `shop-db:latest` of the store, `oci:folder[:name]`, `file.tar`, `registry.example/team/shop-db:1.4`
 * @throws CONFIG_INVALID where it is nowhere, STORE_*
 */
export async function openImage(reference: string, environment: ImageEnvironment): Promise<OpenedImage> {
  const local = (place: OpenedImage['place'], image: Image): OpenedImage => ({
    image,
    place,
    async [Symbol.asyncDispose]() {},
  });
  const [, folder, name] = /^oci:([^:]+)(?::(.+))?$/.exec(reference) ?? [];
  if (folder !== undefined) return local('folder', await layoutAt(folder).image(name));
  const tar = reference.replace(/^docker-archive:/, '');
  if (tar !== reference || (tar.endsWith('.tar') && existsSync(tar))) {
    if (!existsSync(tar)) throw new LongshoreError('CONFIG_INVALID', `${tar} is not there`);
    return local('file', await readDockerTar(tar));
  }
  const store = environment.store ?? DEFAULT_STORE;
  const parsed = parseImageReference(reference);
  const layout = ImageLayout.find(store);
  const stored = layout
    ?.names()
    .find((one) => parsed.digest === undefined && one.name === withTag(reference));
  if (layout !== undefined && stored !== undefined)
    return local('store', await layout.imageAt(stored.descriptor, stored.name));
  // A name without a host is one of the store: nothing is fetched from whoever has that name on a public registry.
  if (!parsed.isExplicit) {
    const names = layout?.names().map((one) => one.name) ?? [];
    throw new LongshoreError('CONFIG_INVALID', `there is no artifact ${reference} in ${store}`, {
      hint: `${names.length === 0 ? 'build it with longshore clone build' : `there are ${names.join(', ')}`}; name one of a registry with its host, e.g. registry.example/team/shop-db:1.4`,
    });
  }
  return await openRegistryImage(reference, environment);
}

/** Where a host is not named it is Docker's registry. */
export async function openRegistryImage(
  reference: string,
  environment: ImageEnvironment,
): Promise<OpenedImage> {
  const { env, signal, plainHttp } = environment;
  await using stack = new AsyncDisposableStack();
  const registry = stack.use(
    new Registry(parseImageReference(reference), 'pull', { env, signal, plainHttp }),
  );
  const image = await registry.image();
  const opened = stack.move();
  return { image, place: 'registry', [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

/** Copies what is not there yet. @returns the manifest, which has no name in the layout */
export async function importImage(layout: ImageLayout, image: Image): Promise<Descriptor> {
  for (const descriptor of [...image.manifest.layers, image.manifest.config]) {
    if (!(await layout.has(descriptor)))
      await layout.put(image.blob(descriptor), descriptor.mediaType, descriptor);
  }
  return await layout.putBytes(image.manifestBytes, image.descriptor.mediaType);
}

function layoutAt(folder: string): ImageLayout {
  const layout = ImageLayout.find(folder);
  if (layout !== undefined) return layout;
  throw new LongshoreError('CONFIG_INVALID', `${folder} is no OCI image layout: it has no file oci-layout`, {
    hint: 'name the folder of one: oci:folder:name',
  });
}
