/** GetObjectTagging, PutObjectTagging and DeleteObjectTagging. */

import { storeTags } from './attributes.ts';
import { readDocument } from './body.ts';
import { emptyResponse, type Operation, type Service, XML_NAMESPACE, xmlResponse } from './exchange.ts';
import { findVersion } from './find-version.ts';
import { S3Error } from './s3-error.ts';
import type { VersionRow } from './versions-table.ts';
import { xmlElements, xmlEscape, xmlText } from './xml.ts';

export const getObjectTagging: Operation = (service, request) => {
  checkSupport(service);
  const { row } = findVersion(service, request, 's3:GetObjectTagging', 's3:GetObjectVersionTagging');
  const tags = row.tags === null ? [] : (JSON.parse(row.tags) as string[]);
  let xml = `<Tagging${XML_NAMESPACE}><TagSet>`;
  for (let index = 0; index < tags.length; index += 2) {
    xml += `<Tag><Key>${xmlEscape(tags[index]!)}</Key><Value>${xmlEscape(tags[index + 1]!)}</Value></Tag>`;
  }
  return xmlResponse(`${xml}</TagSet></Tagging>`, versionHeader(row));
};

export const putObjectTagging: Operation = async (service, request) => {
  checkSupport(service);
  const document = await readDocument(request);
  const { bucket, row } = findVersion(service, request, 's3:PutObjectTagging', 's3:PutObjectVersionTagging');
  if (xmlElements(document, 'TagSet').length !== 1) throw new S3Error('MalformedXML');
  const tags = xmlElements(document, 'Tag').flatMap((tag) => [
    xmlText(tag, 'Key') ?? '',
    xmlText(tag, 'Value') ?? '',
  ]);
  service.versions.setAttributes(bucket, row, { tags: storeTags(tags) });
  return emptyResponse(200, versionHeader(row));
};

export const deleteObjectTagging: Operation = (service, request) => {
  checkSupport(service);
  const { bucket, row } = findVersion(
    service,
    request,
    's3:DeleteObjectTagging',
    's3:DeleteObjectVersionTagging',
  );
  service.versions.setAttributes(bucket, row, { tags: null });
  return emptyResponse(204, versionHeader(row));
};

function checkSupport(service: Service): void {
  if (!service.support.tags) throw new S3Error('NotImplemented');
}

function versionHeader(row: VersionRow): string[] {
  return row.version === null ? [] : ['x-amz-version-id', row.version];
}
