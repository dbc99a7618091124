/** GetObjectAcl and PutObjectAcl: canned ACLs and grants in headers, documents in bodies; kept as given. */

import { readExtra, storeExtra } from './attributes.ts';
import { readDocument } from './body.ts';
import { emptyResponse, type Operation, XML_NAMESPACE, xmlResponse } from './exchange.ts';
import { findVersion } from './find-version.ts';
import { cannedAcl, FULL_CONTROL, OWNER } from './grants.ts';
import { S3Error } from './s3-error.ts';
import { xmlElements } from './xml.ts';

export const getObjectAcl: Operation = (service, request) => {
  const { row } = findVersion(service, request, 's3:GetObjectAcl', 's3:GetObjectVersionAcl');
  const grants = readExtra(row).acl ?? FULL_CONTROL;
  return xmlResponse(
    `<AccessControlPolicy${XML_NAMESPACE}><Owner>${OWNER}</Owner><AccessControlList>${grants}</AccessControlList></AccessControlPolicy>`,
  );
};

export const putObjectAcl: Operation = async (service, request) => {
  const body = await readDocument(request);
  const { bucket, row } = findVersion(service, request, 's3:PutObjectAcl', 's3:PutObjectVersionAcl');
  if (!service.support.acl) throw new S3Error('AccessControlListNotSupported');
  const acl = cannedAcl(service, request) ?? grantsOf(body);
  service.versions.setAttributes(bucket, row, { extra: storeExtra({ ...readExtra(row), acl }) });
  return emptyResponse(200);
};

/** @throws {S3Error} MalformedACLError */
function grantsOf(body: string): string {
  const lists = xmlElements(body, 'AccessControlList');
  if (lists.length !== 1) throw new S3Error('MalformedACLError');
  return lists[0]!.trim();
}
