/** Object lock: retention and legal hold of versions, and what they forbid. */

import { type Extra, readExtra, storeExtra } from './attributes.ts';
import { readDocument } from './body.ts';
import type { Bucket } from './buckets-table.ts';
import {
  emptyResponse,
  header,
  type Operation,
  type S3Request,
  type Service,
  XML_NAMESPACE,
  xmlResponse,
} from './exchange.ts';
import { findVersion } from './find-version.ts';
import { demand } from './permissions.ts';
import { S3Error } from './s3-error.ts';
import type { VersionRow } from './versions-table.ts';
import { xmlText } from './xml.ts';

/**
 * Refuses to delete a version under legal hold or retention.
 * @throws {S3Error} AccessDenied
 */
export function checkUnlocked(service: Service, request: S3Request, row: VersionRow, resource: string): void {
  if (row.extra === null) return;
  const { retention, legalHold } = readExtra(row);
  const denied = new S3Error('AccessDenied', {
    message: 'Access Denied because object protected by object lock.',
  });
  if (legalHold === 'ON') throw denied;
  if (retention === undefined || Date.parse(retention.until) <= service.now()) return;
  if (retention.mode !== 'GOVERNANCE' || !mayBypass(request, resource)) throw denied;
}

/** The lock of a new object, from the request or the bucket's default; put into `extra`. */
export function readLock(
  service: Service,
  request: S3Request,
  bucket: Bucket,
  resource: string,
  extra: Extra,
): void {
  const mode = header(request, 'x-amz-object-lock-mode');
  const until = header(request, 'x-amz-object-lock-retain-until-date');
  const hold = header(request, 'x-amz-object-lock-legal-hold');
  if (mode === undefined && until === undefined && hold === undefined) {
    const { retention } = bucket.config;
    if (retention === undefined) return;
    const date = new Date(service.now());
    date.setUTCDate(date.getUTCDate() + (retention.days ?? 0));
    date.setUTCFullYear(date.getUTCFullYear() + (retention.years ?? 0));
    extra.retention = { mode: retention.mode, until: date.toISOString() };
    return;
  }
  if (bucket.config.objectLock !== true) {
    throw new S3Error('InvalidRequest', { message: 'Bucket is missing Object Lock Configuration' });
  }
  if (mode !== undefined || until !== undefined) {
    demand(request.principal, 's3:PutObjectRetention', resource);
    extra.retention = checkedRetention(service, mode, until);
  }
  if (hold !== undefined) {
    demand(request.principal, 's3:PutObjectLegalHold', resource);
    if (hold !== 'ON' && hold !== 'OFF') throw new S3Error('InvalidArgument');
    extra.legalHold = hold;
  }
}

export const getObjectRetention: Operation = (service, request) => {
  const { row } = findVersion(service, request, 's3:GetObjectRetention', 's3:GetObjectRetention');
  const { retention } = readExtra(row);
  if (retention === undefined) throw new S3Error('NoSuchObjectLockConfiguration');
  return xmlResponse(
    `<Retention${XML_NAMESPACE}><Mode>${retention.mode}</Mode><RetainUntilDate>${retention.until}</RetainUntilDate></Retention>`,
  );
};

export const putObjectRetention: Operation = async (service, request) => {
  const body = await readDocument(request);
  const { bucket, row, resource } = findVersion(
    service,
    request,
    's3:PutObjectRetention',
    's3:PutObjectRetention',
  );
  checkLockable(bucket);
  const extra = readExtra(row);
  const mode = xmlText(body, 'Mode');
  const { retention: old } = extra;
  const retention =
    mode === undefined ? undefined : checkedRetention(service, mode, xmlText(body, 'RetainUntilDate'));
  if (old !== undefined && Date.parse(old.until) > service.now()) {
    const weaker =
      retention === undefined ||
      Date.parse(retention.until) < Date.parse(old.until) ||
      (old.mode === 'COMPLIANCE' && retention.mode !== 'COMPLIANCE');
    if (weaker && (old.mode === 'COMPLIANCE' || !mayBypass(request, resource)))
      throw new S3Error('AccessDenied');
  }
  if (retention === undefined) delete extra.retention;
  else extra.retention = retention;
  service.versions.setAttributes(bucket, row, { extra: storeExtra(extra) });
  return emptyResponse(200);
};

export const getObjectLegalHold: Operation = (service, request) => {
  const { row } = findVersion(service, request, 's3:GetObjectLegalHold', 's3:GetObjectLegalHold');
  const { legalHold } = readExtra(row);
  if (legalHold === undefined) throw new S3Error('NoSuchObjectLockConfiguration');
  return xmlResponse(`<LegalHold${XML_NAMESPACE}><Status>${legalHold}</Status></LegalHold>`);
};

export const putObjectLegalHold: Operation = async (service, request) => {
  const status = xmlText(await readDocument(request), 'Status');
  const { bucket, row } = findVersion(service, request, 's3:PutObjectLegalHold', 's3:PutObjectLegalHold');
  checkLockable(bucket);
  if (status !== 'ON' && status !== 'OFF') throw new S3Error('MalformedXML');
  service.versions.setAttributes(bucket, row, {
    extra: storeExtra({ ...readExtra(row), legalHold: status }),
  });
  return emptyResponse(200);
};

function checkLockable(bucket: Bucket): void {
  if (bucket.config.objectLock === true) return;
  throw new S3Error('InvalidRequest', { message: 'Bucket is missing Object Lock Configuration' });
}

function mayBypass(request: S3Request, resource: string): boolean {
  return (
    header(request, 'x-amz-bypass-governance-retention') === 'true' &&
    request.principal.allows('s3:BypassGovernanceRetention', resource)
  );
}

/** @throws {S3Error} InvalidArgument */
function checkedRetention(
  service: Service,
  mode: string | undefined,
  until: string | undefined,
): { mode: string; until: string } {
  if (mode !== 'GOVERNANCE' && mode !== 'COMPLIANCE') {
    throw new S3Error('InvalidArgument', { message: 'Unknown wormMode directive.' });
  }
  const untilMs = Date.parse(until ?? '');
  if (Number.isNaN(untilMs)) {
    throw new S3Error('InvalidArgument', {
      message: 'The retain until date must be provided in ISO 8601 format',
    });
  }
  if (untilMs <= service.now()) {
    throw new S3Error('InvalidArgument', { message: 'The retain until date must be in the future!' });
  }
  return { mode, until: new Date(untilMs).toISOString() };
}
