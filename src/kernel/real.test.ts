import { suite } from 'uvu'
import { addConformance } from './conformance.ts'
import { openRealWorld } from './real-world.ts'

const test = suite('kernel/real')

addConformance(test, openRealWorld)

test.run()
