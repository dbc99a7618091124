/** Findings of each kind. */

import type { Finding } from '../clone.ts';
import type { Looked } from './survey.ts';

export const ok = (text: string): Finding => ({ kind: 'ok', text });
export const warning = (text: string, hint?: string): Finding => ({ kind: 'warning', text, hint });
export const problem = (text: string, hint?: string): Finding => ({ kind: 'problem', text, hint });

/** Of what has to be known. */
export const cannotTell = (looked: Looked<unknown>): Finding[] =>
  'refused' in looked ? [problem(looked.refused.message, looked.refused.hint)] : [];
