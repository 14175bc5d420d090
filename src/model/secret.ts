import * as z from 'zod'
import { stored } from './tags.ts'

/** A password that stands in a Kubernetes secret; there is none without Kubernetes, so nothing here reads it. */
export const secretPasswordField = z.object({
  secretKeyRef: z
    .object({
      name: stored('Name of the Kubernetes secret that holds the password.', z.string()).optional(),
      key: stored('Key of the password in the secret.', z.string()),
      optional: stored('Whether the secret may be absent.', z.boolean()).optional(),
    })
    .optional(),
})
