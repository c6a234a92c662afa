//! What a transform author imports: the value model shared by columns and transforms.
