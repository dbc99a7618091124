/** What CloudFormation makes of a template: its intrinsic functions evaluated, its conditions applied. */

import type { Template, TemplateValue } from '../../src/platforms/aws/cloudformation.ts';

/** A value without functions; what is left out is gone. */
type Plain = string | number | boolean | Plain[] | { [key: string]: Plain };

export interface Stack {
  readonly conditions: Readonly<Record<string, boolean>>;
  /** Those whose condition holds. */
  readonly resources: Readonly<Record<string, { readonly Type: string; readonly Properties: Plain }>>;
  readonly outputs: Readonly<Record<string, Plain>>;
  /** Assertions of rules that do not hold. */
  readonly refused: readonly string[];
}

const PSEUDO: Readonly<Record<string, string>> = {
  'AWS::AccountId': '123456789012',
  'AWS::Partition': 'aws',
  'AWS::Region': 'eu-west-1',
  'AWS::StackName': 'lake',
  'AWS::URLSuffix': 'amazonaws.com',
};

/**
 * @param given values of parameters, beside their defaults
 * @throws where the template names what is not there
 */
export function stackOf(template: Template, given: Readonly<Record<string, string>> = {}): Stack {
  const parameters: Record<string, Plain> = {};
  for (const [name, { Type, Default, AllowedPattern, AllowedValues }] of Object.entries(
    template.Parameters,
  )) {
    const value = given[name] ?? Default;
    if (value === undefined) throw new Error(`no value for the parameter ${name}`);
    if (AllowedPattern !== undefined && !new RegExp(AllowedPattern).test(String(value)))
      throw new Error(`${name} may not be ${value}`);
    if (AllowedValues?.includes(value) === false) throw new Error(`${name} may not be ${value}`);
    parameters[name] = Type.startsWith('List') ? String(value).split(',') : value;
  }
  const evaluator = new Evaluator(template, parameters);
  const conditions = Object.fromEntries(
    Object.keys(template.Conditions).map((name) => [name, evaluator.holds(name)]),
  );
  const resources: Record<string, { Type: string; Properties: Plain }> = {};
  for (const [name, { Type, Condition, DependsOn, Properties }] of Object.entries(template.Resources)) {
    if (Condition !== undefined && !evaluator.holds(Condition)) continue;
    for (const other of DependsOn ?? []) evaluator.resource(other);
    resources[name] = { Type, Properties: evaluator.value(Properties)! };
  }
  const outputs: Record<string, Plain> = {};
  for (const [name, { Condition, Value }] of Object.entries(template.Outputs)) {
    if (Condition === undefined || evaluator.holds(Condition)) outputs[name] = evaluator.value(Value)!;
  }
  const refused = Object.values(template.Rules)
    .filter(({ RuleCondition }) => evaluator.value(RuleCondition) === true)
    .flatMap(({ Assertions }) => Assertions.filter(({ Assert }) => evaluator.value(Assert) !== true))
    .map(({ AssertDescription }) => AssertDescription);
  return { conditions, resources, outputs, refused };
}

class Evaluator {
  readonly #template: Template;
  readonly #parameters: Readonly<Record<string, Plain>>;

  constructor(template: Template, parameters: Readonly<Record<string, Plain>>) {
    this.#template = template;
    this.#parameters = parameters;
  }

  holds(name: string): boolean {
    const condition = this.#template.Conditions[name];
    if (condition === undefined) throw new Error(`no condition ${name}`);
    return this.value(condition) === true;
  }

  /** Its name, where it is created. */
  resource(name: string): string {
    const resource = this.#template.Resources[name];
    if (resource === undefined) throw new Error(`no resource ${name}`);
    if (resource.Condition !== undefined && !this.holds(resource.Condition))
      throw new Error(`${name} is not created`);
    return name;
  }

  /** Undefined for what is left out. */
  value(value: TemplateValue): Plain | undefined {
    if (typeof value !== 'object') return value;
    if (Array.isArray(value)) return this.#list(value as readonly TemplateValue[]);
    const entries = Object.entries(value);
    const [name, argument] = entries[0] ?? ['', ''];
    if (entries.length === 1 && (name === 'Ref' || name === 'Condition' || name.startsWith('Fn::')))
      if (name !== 'Condition' || typeof argument === 'string') return this.#call(name, argument);
    return Object.fromEntries(
      entries.flatMap(([key, child]) => {
        const plain = this.value(child);
        return plain === undefined ? [] : [[key, plain]];
      }),
    );
  }

  #list(values: readonly TemplateValue[]): Plain[] {
    return values.map((value) => this.value(value)).filter((value) => value !== undefined);
  }

  #call(name: string, argument: TemplateValue): Plain | undefined {
    if (name === 'Ref') return this.#named(String(argument));
    if (name === 'Condition') return this.holds(String(argument));
    if (name === 'Fn::Sub') return this.#sub(argument);
    const list = argument as readonly TemplateValue[];
    switch (name) {
      case 'Fn::GetAtt':
        return `${this.resource(String(list[0]))}.${list[1]}`;
      case 'Fn::If':
        return this.value(this.holds(String(list[0])) ? list[1]! : list[2]!);
      case 'Fn::Join':
        return (this.value(list[1]!) as Plain[]).join(String(list[0]));
      case 'Fn::Equals':
        return this.value(list[0]!) === this.value(list[1]!);
      case 'Fn::Not':
        return this.value(list[0]!) !== true;
      case 'Fn::And':
        return list.every((each) => this.value(each) === true);
      default:
        throw new Error(`${name} is not known here`);
    }
  }

  #named(name: string): Plain | undefined {
    if (name === 'AWS::NoValue') return undefined;
    return PSEUDO[name] ?? this.#parameters[name] ?? this.resource(name);
  }

  #sub(argument: TemplateValue): string {
    const [text, variables] = (Array.isArray(argument) ? argument : [argument, {}]) as [
      string,
      Record<string, TemplateValue>,
    ];
    return text.replace(/\$\{([^}]+)\}/g, (_, name: string) => {
      if (variables[name] !== undefined) return String(this.value(variables[name]));
      const [resource, ...attributes] = name.split('.');
      return attributes.length === 0
        ? String(this.#named(name))
        : `${this.resource(resource!)}.${attributes.join('.')}`;
    });
  }
}
