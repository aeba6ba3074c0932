import { Document, isMap, isPair, isScalar, isSeq, visit } from 'yaml';
import type { RawObject } from '../catalog/snapshot.ts';

/** Objects as YAML documents, small maps on one line where the house has them so. */
export function writeYaml(objects: readonly RawObject[], flow: boolean): string {
  return objects.map((object) => writeOne(object, flow)).join('---\n');
}

function writeOne(object: RawObject, flow: boolean): string {
  const document = new Document(object);
  visit(document, {
    Map(_, node, path) {
      const leaf = node.items.every(({ value }) => isScalar(value) || (isSeq(value) && value.items.every(isScalar)));
      if (flow && leaf && path.length > 1 && node.items.length <= 3) node.flow = true;
    },
    Seq(_, node, path) {
      const above = path.at(-1);
      const names =
        isPair(above) && isScalar(above.key) && ['methods', 'matches', 'ports'].includes(String(above.key.value));
      if (names && !node.items.some(isMap)) node.flow = true;
    },
  });
  const text = document.toString({ lineWidth: 0, flowCollectionPadding: true });
  return text.replace(/\[ ([\w, *-]+) \]/g, '[$1]');
}
