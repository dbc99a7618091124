/** A CloudFormation template as plain data: its parts, its intrinsic functions, its text. */

import { stringify } from 'yaml';

/** Anything that a template may hold; an intrinsic function is an object with its name as the only key. */
export type TemplateValue =
  | string
  | number
  | boolean
  | readonly TemplateValue[]
  | { readonly [key: string]: TemplateValue };

export interface TemplateParameter {
  readonly Type: 'String' | 'Number' | 'AWS::EC2::VPC::Id' | 'List<AWS::EC2::Subnet::Id>';
  readonly Description: string;
  /** Must be given where there is none. */
  readonly Default?: string | number;
  readonly AllowedValues?: readonly (string | number)[];
  /** A regular expression for the whole value. */
  readonly AllowedPattern?: string;
  readonly ConstraintDescription?: string;
  readonly MinValue?: number;
  readonly MaxValue?: number;
  /** CloudFormation shows it to nobody. */
  readonly NoEcho?: boolean;
}

export interface TemplateResource {
  readonly Type: string;
  readonly Condition?: string;
  readonly DependsOn?: readonly string[];
  readonly DeletionPolicy?: 'Delete' | 'Retain' | 'RetainExceptOnCreate' | 'Snapshot';
  readonly UpdateReplacePolicy?: 'Delete' | 'Retain' | 'Snapshot';
  readonly Properties: { readonly [property: string]: TemplateValue };
}

export interface TemplateRule {
  readonly RuleCondition: TemplateValue;
  readonly Assertions: readonly { readonly Assert: TemplateValue; readonly AssertDescription: string }[];
}

export interface TemplateOutput {
  readonly Description: string;
  readonly Condition?: string;
  readonly Value: TemplateValue;
}

type Named<T> = { readonly [name: string]: T };

export interface Template {
  readonly AWSTemplateFormatVersion: '2010-09-09';
  readonly Description: string;
  readonly Metadata: Named<TemplateValue>;
  readonly Parameters: Named<TemplateParameter>;
  readonly Rules: Named<TemplateRule>;
  readonly Conditions: Named<TemplateValue>;
  readonly Resources: Named<TemplateResource>;
  readonly Outputs: Named<TemplateOutput>;
}

/** A statement of an IAM policy. */
export type TemplateStatement = {
  readonly Sid: string;
  readonly Effect: 'Allow' | 'Deny';
  readonly Principal?: TemplateValue;
  readonly Action: readonly string[];
  readonly Resource?: TemplateValue;
  readonly Condition?: TemplateValue;
};

/** As CloudFormation reads it, with a newline at the end. */
export function templateText(template: Template, format: 'yaml' | 'json'): string {
  if (format === 'json') return `${JSON.stringify(template, undefined, 2)}\n`;
  // CloudFormation reads YAML 1.1, to which a plain `no` or `2012-10-17` is no text.
  return stringify(template, { version: '1.1', aliasDuplicateObjects: false, lineWidth: 0 });
}

export function ref(name: string): TemplateValue {
  return { Ref: name };
}

export function attribute(resource: string, name: string): TemplateValue {
  return { 'Fn::GetAtt': [resource, name] };
}

/** @param variables beside the parameters, resources and attributes that `${…}` names by itself */
export function sub(text: string, variables?: Named<TemplateValue>): TemplateValue {
  return { 'Fn::Sub': variables === undefined ? text : [text, variables] };
}

/** Without `otherwise`, the property or the element of a list is left out. */
export function when(
  condition: string,
  value: TemplateValue,
  otherwise: TemplateValue = ref('AWS::NoValue'),
): TemplateValue {
  return { 'Fn::If': [condition, value, otherwise] };
}

export function join(separator: string, values: TemplateValue): TemplateValue {
  return { 'Fn::Join': [separator, values] };
}

export function equals(one: TemplateValue, other: TemplateValue): TemplateValue {
  return { 'Fn::Equals': [one, other] };
}

export function not(value: TemplateValue): TemplateValue {
  return { 'Fn::Not': [value] };
}

/** Of conditions, by their names or as functions. */
export function both(one: TemplateValue, other: TemplateValue): TemplateValue {
  return { 'Fn::And': [one, other] };
}

export function condition(name: string): TemplateValue {
  return { Condition: name };
}
