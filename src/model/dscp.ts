import { ValidationError } from '../errors.ts'
import { numberOrText, shownAs } from './fields.ts'

/** Names of marks (RFC 2474, RFC 2597, RFC 3246, RFC 5865). */
const NAMES: readonly string[] = [
  ...['DF', 'EF', 'VA'],
  ...['CS0', 'CS1', 'CS2', 'CS3', 'CS4', 'CS5', 'CS6', 'CS7'],
  ...['AF11', 'AF12', 'AF13', 'AF21', 'AF22', 'AF23', 'AF31', 'AF32', 'AF33', 'AF41', 'AF42', 'AF43'],
]

/** A mark of packets (differentiated services code point): 0 to 63, or its name. */
export const dscpField = shownAs(
  '0 to 63 or a name',
  { anyOf: [{ type: 'integer', minimum: 0, maximum: 63 }, { enum: NAMES }] },
  numberOrText((text) => {
    if (NAMES.includes(text) || (/^\d{1,2}$/.test(text) && Number(text) <= 63)) return
    throw new ValidationError(`${JSON.stringify(text)} is not a DSCP value (0 to 63, or a name such as EF, AF11 or CS1)`)
  }),
)
