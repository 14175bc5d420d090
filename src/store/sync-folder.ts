import { open } from 'node:fs/promises'

/** Has the disk keep which files are in a folder: without it a power cut could bring a replaced file's old content back, or none. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
