import { ValidationError } from '../../errors.ts'
import { checkedText, shownAs } from '../fields.ts'

/** Name of an interface of a host. */
export const interfaceNameField = shownAs(
  'interface',
  { pattern: '^[a-zA-Z0-9_.-]{1,15}$' },
  checkedText((text) => {
    if (/^[a-zA-Z0-9_.-]{1,15}$/.test(text)) return
    throw new ValidationError(`${JSON.stringify(text)} is not an interface (1 to 15 letters, digits, "_", "." and "-")`)
  }),
)

/** Name of an interface as iptables takes it: `+` at the end stands for any characters. */
export const interfaceFilterField = shownAs(
  'interface or `prefix+`',
  { pattern: '^[a-zA-Z0-9:._+-]{1,15}$' },
  checkedText((text) => {
    if (/^[a-zA-Z0-9:._+-]{1,15}$/.test(text)) return
    throw new ValidationError(`${JSON.stringify(text)} is not an interface, or the beginning of one and "+" (1 to 15 characters)`)
  }),
)
