/** Numbers objects, each as it is first asked for: what is made of objects that stay the same is kept under their numbers. */
export class ObjectIds {
  readonly #ids = new WeakMap<object, number>()
  #next = 1

  of(one: object): number {
    const id = this.#ids.get(one) ?? this.#next++
    this.#ids.set(one, id)
    return id
  }
}
