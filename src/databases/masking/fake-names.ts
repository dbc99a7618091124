/** Names of nobody: a given name and a family name are chosen by a hash, each by one of its bytes. */

/** A power of two of them, so that each is as likely. */
export const FIRST_NAMES: readonly string[] = (
  'Ada Alan Alba Amir Anna Arne Aya Ben Bela Bruno Cara Carl Chloe Clara Dana David Diego Dora Edith Elias Ella Emil ' +
  'Eva Felix Finn Flora Frida Gina Greta Hana Hugo Ida Igor Ines Ivan Jana Jonas Julia Kai Karim Lara Lena Leo Lina ' +
  'Luca Maja Marc Maya Mila Nadia Nico Nina Noah Nora Olga Omar Oskar Paula Petra Rafael Rosa Sami Sara Tom'
).split(' ');

export const LAST_NAMES: readonly string[] = (
  'Abel Adler Alder Amsel Anders Baker Barth Bauer Berg Birch Bloom Brandt Brook Carter Clay Cole Conti Costa Dahl Dale ' +
  'Duran Eder Ekman Falk Ferro Field Fink Fischer Ford Frost Gallo Garcia Grant Gray Hagen Hale Hansen Hill Holm Horn ' +
  'Ito Jansen Keller Kim Kovac Lake Lang Lind Lopez Marsh Meyer Moreau Nagy Novak Olsen Park Reed Rossi Sato Silva ' +
  'Stone Vogel Wood York'
).split(' ');
