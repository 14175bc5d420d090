import type * as z from 'zod'

/** What margay does with a field: acts on it; keeps it although only Calico acts on it; or keeps it until a later version acts on it. */
export type FieldTag = 'enforced' | 'stored' | 'later'

/** A field that margay acts on; `description` is one sentence for the reference pages and the JSON schema. */
export function enforced<S extends z.ZodType>(description: string, schema: S): S {
  return tagged('enforced', description, schema)
}

/** A field that Calico acts on and margay does not: it is kept, and whoever writes it is warned. */
export function stored<S extends z.ZodType>(description: string, schema: S): S {
  return tagged('stored', description, schema)
}

/** A field that a later version of margay will act on: it is kept, and whoever writes it is warned. */
export function later<S extends z.ZodType>(description: string, schema: S): S {
  return tagged('later', description, schema)
}

function tagged<S extends z.ZodType>(tag: FieldTag, description: string, schema: S): S {
  return schema.meta({ tag, description })
}
