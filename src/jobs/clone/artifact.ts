/** A database artifact, opened: what a copy of a database is made from. It holds no credentials and no rows. */

import type { ArtifactConfig } from './artifact-config.ts';

export interface ArtifactFile {
  /** Below the folder of the changelog, with slashes. */
  readonly path: string;
  readonly bytes: Buffer;
}

/** A Liquibase changelog with the files that it includes. */
export interface Changelog {
  /** That of `files` which Liquibase begins with. */
  readonly entry: string;
  /** In the order of their paths. */
  readonly files: readonly ArtifactFile[];
}

export interface Artifact {
  /** As the user names it: `shop-db:latest`. */
  readonly reference: string;
  /** Of the image's manifest: `sha256:…`; the same input has the same digest. Within the image, which cannot know it, that of the content. */
  readonly digest: string;
  /** Of configuration, changelog and masking alone: another version of the program that carries them does not change it. */
  readonly contentDigest: string;
  readonly config: ArtifactConfig;
  readonly changelog: Changelog | undefined;
  /** Rules in YAML, as they were given. */
  readonly masking: string | undefined;
}
