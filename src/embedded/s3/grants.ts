/** The grants of an ACL as XML: the canned ones, and those that headers name. */

import { header, type S3Request, type Service } from './exchange.ts';
import { S3Error } from './s3-error.ts';
import { xmlEscape } from './xml.ts';

export const OWNER_ID = '75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a';
export const OWNER = `<ID>${OWNER_ID}</ID><DisplayName>longshore</DisplayName>`;

const XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"';
/** What an object without an ACL of its own has. */
export const FULL_CONTROL = `<Grant><Grantee ${XSI} xsi:type="CanonicalUser">${OWNER}</Grantee><Permission>FULL_CONTROL</Permission></Grant>`;
const ALL_USERS = 'http://acs.amazonaws.com/groups/global/AllUsers';
const AUTHENTICATED_USERS = 'http://acs.amazonaws.com/groups/global/AuthenticatedUsers';
const CANNED: Readonly<Record<string, string>> = {
  private: FULL_CONTROL,
  'bucket-owner-full-control': FULL_CONTROL,
  'bucket-owner-read': FULL_CONTROL,
  'aws-exec-read': FULL_CONTROL,
  'public-read': FULL_CONTROL + group(ALL_USERS, 'READ'),
  'public-read-write': FULL_CONTROL + group(ALL_USERS, 'READ') + group(ALL_USERS, 'WRITE'),
  'authenticated-read': FULL_CONTROL + group(AUTHENTICATED_USERS, 'READ'),
};
const GRANT_HEADERS: Readonly<Record<string, string>> = {
  'x-amz-grant-full-control': 'FULL_CONTROL',
  'x-amz-grant-read': 'READ',
  'x-amz-grant-write': 'WRITE',
  'x-amz-grant-read-acp': 'READ_ACP',
  'x-amz-grant-write-acp': 'WRITE_ACP',
};

/**
 * The grants that `x-amz-acl` or `x-amz-grant-*` headers say; undefined where there are none.
 * @throws {S3Error} AccessControlListNotSupported where ACLs are switched off
 */
export function cannedAcl(service: Service, request: S3Request): string | undefined {
  const canned = header(request, 'x-amz-acl');
  if (canned !== undefined) {
    const grants = CANNED[canned];
    if (grants === undefined)
      throw new S3Error('InvalidArgument', { details: { ArgumentName: 'x-amz-acl' } });
    if (!service.support.acl && canned !== 'bucket-owner-full-control') {
      throw new S3Error('AccessControlListNotSupported');
    }
    return grants;
  }
  let grants = '';
  for (const [name, permission] of Object.entries(GRANT_HEADERS)) {
    for (const [, kind, value] of (header(request, name) ?? '').matchAll(
      /(id|uri|emailAddress)="?([^",]+)"?/g,
    )) {
      grants += kind === 'uri' ? group(value!, permission) : user(value!, permission);
    }
  }
  if (grants === '') return undefined;
  if (!service.support.acl) throw new S3Error('AccessControlListNotSupported');
  return grants;
}

function group(uri: string, permission: string): string {
  return `<Grant><Grantee ${XSI} xsi:type="Group"><URI>${xmlEscape(uri)}</URI></Grantee><Permission>${permission}</Permission></Grant>`;
}

function user(id: string, permission: string): string {
  return `<Grant><Grantee ${XSI} xsi:type="CanonicalUser"><ID>${xmlEscape(id)}</ID></Grantee><Permission>${permission}</Permission></Grant>`;
}
