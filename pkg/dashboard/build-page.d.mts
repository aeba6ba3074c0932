/** Bundles the page into a folder: index.html, main.js, main.css. */
export declare function buildPage(outdir: string): Promise<void>;
