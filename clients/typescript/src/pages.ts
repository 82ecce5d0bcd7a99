/** Lists that come page by page. */

/** All items of a list, asked for a page at a time while they are read; or one page by itself. */
export class Pages<Item, Page extends { nextPageToken: string }> implements AsyncIterable<Item> {
  /** Made by the lists of `Client`. */
  constructor(
    /** One page: the first, or the one that `nextPageToken` of the page before names. */
    readonly page: (pageToken?: string) => Promise<Page>,
    private readonly itemsOf: (page: Page) => readonly Item[],
  ) {}

  async *[Symbol.asyncIterator](): AsyncGenerator<Item, void> {
    let pageToken = "";
    do {
      const page = await this.page(pageToken);
      yield* this.itemsOf(page);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }
}
