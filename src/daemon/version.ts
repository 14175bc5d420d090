/** The version of this program, put in by the build; `0.0.0` when it runs from source. */
export const VERSION: string = process.env.MARGAY_VERSION ?? '0.0.0'
