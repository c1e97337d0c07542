/** Replaces the password of every URL and every `password=` setting in a text. */
export function redact(text: string): string {
  return text
    .replace(/([a-z][a-z0-9+.-]*:\/\/[^\s/?#:@'"]*):[^\s]*@/gi, '$1:***@')
    .replace(
      /\b(password|sslpassword|pgpassword)(\s*=\s*)('(?:[^'\\]|\\.)*'|(?:\\.|[^\s&"\\])+)/gi,
      '$1$2***',
    )
}
