import {Ajv, type ValidateFunction} from 'ajv'

const options = {useDefaults: true, allErrors: false, strict: false, validateFormats: false}

/** In a body types are exact. */
const bodies = new Ajv(options)
/** In paths and queries all is text, and one value can be a list. */
const texts = new Ajv({...options, coerceTypes: 'array'})

/** Returns a function that checks one part of requests. */
export const validatorOf = ({schema, httpPart}: {schema: object; httpPart?: string}): ValidateFunction =>
  (httpPart === 'body' ? bodies : texts).compile(schema)
